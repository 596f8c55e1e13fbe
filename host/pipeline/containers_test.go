package pipeline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// keep decodes the message so that its container becomes known.
func keep(t *testing.T, d *decoder, payload []byte) {
	t.Helper()
	for _, r := range decodeAll(t, d, &sdk.Message{Payload: payload}) {
		if r.reason != "" {
			t.Fatalf("%q: %s", payload, r.reason)
		}
	}
}

// looksUp reports whether the message's container is known.
func looksUp(d *decoder, payload []byte) bool {
	for i := range payload {
		if d.containers.find(payload[i:]) != nil {
			return true
		}
	}
	return false
}

// TestMessagesOfKnownContainersThatDiffer changes a message of a known container in every place.
func TestMessagesOfKnownContainersThatDiffer(t *testing.T) {
	d := testDecoder()
	for _, payload := range lines(100)[98:] { // an app's and the controller's
		keep(t, d, payload)
		if !looksUp(d, payload) {
			t.Fatalf("not known: %q", payload)
		}
		for i := range payload {
			for _, with := range []string{"", "x", `"`, `\`, "{", "}", ",", ":", "1", " ", "\x00", "\x7f", "\xff", `\u0061`, `",`, `":`, `"}`, "}}"} {
				checkAgainstUnknown(t, d, slices.Replace(bytes.Clone(payload), i, i+1, []byte(with)...))
				checkAgainstUnknown(t, d, slices.Insert(bytes.Clone(payload), i, []byte(with)...))
			}
			checkAgainstUnknown(t, d, payload[:i])
		}
	}
}

// TestEqualNamesBesideAKnownContainer: what is known is merged with what else the message says.
func TestEqualNamesBesideAKnownContainer(t *testing.T) {
	for _, payload := range [][]byte{lines(1)[0], stranger(1, 500)} { // one says everything, the other little
		from, object := bytes.Index(payload, []byte(`"docker"`)), bytes.Index(payload, []byte(`"kubernetes"`))
		to := bytes.Index(payload, []byte(`, "time"`))
		if to < 0 {
			to = len(payload) - 1
		}
		description, kubernetes := string(payload[from:to]), string(payload[object:to])
		others := []string{
			``, `"log":"y"`, `"kubernetes":null`, `"kubernetes":{}`, `"kubernetes":1`, `"kubernetes":{"labels":null}`, `"kubernetes":{"labels":{"app":"bar"}}`,
			`"kubernetes":{"labels":{"app":""}}`, `"kubernetes":{"container_name":"deis-controller"}`, `"kubernetes":{"host":7,"pod_name":"p"}`,
			`"docker":{}`, `"docker":1`, description, kubernetes, `"kubernetes":{"x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
		}
		d := testDecoder()
		message := func(members ...string) []byte {
			members = slices.DeleteFunc(members, func(s string) bool { return s == "" })
			return []byte(`{` + strings.Join(members, ",") + `}`)
		}
		for _, before := range others {
			for _, after := range others {
				for _, last := range others {
					for _, middle := range []string{description, kubernetes} {
						plain := message(`"log":"INFO [foo]: x"`, middle)
						keep(t, d, plain)
						checkAgainstUnknown(t, d, message(`"log":"INFO [foo]: x"`, before, middle, after, last))
						checkAgainstUnknown(t, d, plain)
					}
				}
			}
		}
	}
}

// TestMembersInAnyOrder: members between docker and kubernetes are read every time.
func TestMembersInAnyOrder(t *testing.T) {
	d := testDecoder()
	members := []string{
		`"log":"x"`, `"stream":"stdout"`, `"time":"2016-10-18T20:29:38Z"`, `"docker":{"container_id":"` + strings.Repeat("0", head) + `"}`,
		`"kubernetes":{"labels":{"app":"foo"},"pod_id":"` + strings.Repeat("0", head) + `"}`,
	}
	var permute func(n int)
	permute = func(n int) {
		if n == 0 {
			payload := []byte("{" + strings.Join(members, ",") + "}")
			keep(t, d, payload)
			if !looksUp(d, payload) {
				t.Errorf("not known: %q", payload)
			}
			checkAgainstUnknown(t, d, payload)
		}
		for i := range n {
			members[i], members[n-1] = members[n-1], members[i]
			permute(n - 1)
			members[i], members[n-1] = members[n-1], members[i]
		}
	}
	permute(len(members))
}

// TestKnownContainersKeepNothingOfMessages, because payloads are only lent.
func TestKnownContainersKeepNothingOfMessages(t *testing.T) {
	d := testDecoder()
	payload := lines(1)[0]
	lent := bytes.Clone(payload)
	keep(t, d, lent)
	for i := range lent {
		lent[i] = 'x'
	}
	if !looksUp(d, payload) {
		t.Error("forgotten")
	}
	checkAgainstUnknown(t, d, payload)
}

// stranger returns a message of a container that writes only this one. Its description has that
// size.
func stranger(id, size int) []byte {
	const format = `{"log":"x","docker":{"container_id":"%064x"},"kubernetes":{"x":"%s","labels":{"app":"foo"}}}`
	return fmt.Appendf(nil, format, id, strings.Repeat("x", size-len(format)-47))
}

// TestContainersAreBounded has more containers than there is room for.
func TestContainersAreBounded(t *testing.T) {
	for _, size := range []int{head + 8, 500, longestDescription} {
		d := testDecoder()
		room := mostRemembered / (size + containerOverhead)
		for id := range room / 2 {
			keep(t, d, stranger(id, size))
			if !looksUp(d, stranger(id, size)) {
				t.Fatalf("%d bytes: container %d is not known, and there is room", size, id)
			}
		}
		for id := range 4 * room {
			keep(t, d, stranger(id, size))
		}
		sum := 0
		for hash, k := range d.containers.known {
			if hash != hashOf(k.description) || cap(k.description) > longestDescription*5/4 {
				t.Fatalf("%d bytes of memory for %.50q", cap(k.description), k.description)
			}
			sum += k.size()
		}
		if sum != d.containers.bytes || sum > mostRemembered || sum < mostRemembered*3/4 {
			t.Errorf("%d bytes: %d are remembered and %d counted, of %d", size, sum, d.containers.bytes, mostRemembered)
		}
	}
}

func TestDescriptionsOfOtherSizesAreNotKept(t *testing.T) {
	d := testDecoder()
	for _, payload := range [][]byte{line(1, "foo", "x").Payload, stranger(1, longestDescription+100), large()[0]} {
		keep(t, d, payload)
	}
	if len(d.containers.known) > 0 || d.containers.bytes > 0 {
		t.Errorf("%d are known, %d bytes", len(d.containers.known), d.containers.bytes)
	}
}

// TestContainersWithTheSameHead has two containers whose descriptions differ only far from the
// beginning.
func TestContainersWithTheSameHead(t *testing.T) {
	d := testDecoder()
	var payloads [2][]byte
	for i := range payloads {
		payloads[i] = bytes.Replace(stranger(1, 500), []byte(`"app":"foo"`), fmt.Appendf(nil, `"app":"app-%d"`, i), 1)
	}
	for range 3 {
		for _, payload := range payloads {
			keep(t, d, payload)
			checkAgainstUnknown(t, d, payload)
		}
	}
	if len(d.containers.known) != 1 {
		t.Errorf("%d are known, want the newest", len(d.containers.known))
	}
}

// TestContainersBecomeKnown although half of the lines are strangers', and however many strangers
// came before.
func TestContainersBecomeKnown(t *testing.T) {
	d := testDecoder()
	id := 0
	strange := func(n int) {
		for range n {
			id++
			decodeAll(t, d, &sdk.Message{Payload: stranger(id, 500)})
		}
	}
	strange(2 * mostRemembered / 500)
	payloads := lines(64)
	for range 100 * keptOneIn {
		for _, payload := range payloads {
			strange(1)
			decodeAll(t, d, &sdk.Message{Payload: payload})
		}
	}
	strangers := 0
	for _, payload := range payloads {
		if !looksUp(d, payload) {
			strangers++
		}
	}
	// One stranger in eight pushes out one of some 11,000 known containers, so hardly ever one of
	// these.
	if strangers > len(payloads)/8 {
		t.Errorf("%d of %d containers are not known", strangers, len(payloads))
	}
}
