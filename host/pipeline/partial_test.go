package pipeline

import (
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// TestPieces: a tag decides whether an entry is a piece. Without a tag, its size and newline
// decide.
func TestPieces(t *testing.T) {
	piece := strings.Repeat("x", dockerPiece)
	for name, c := range map[string]struct {
		members string
		partial bool
	}{
		"containerd, fluentd: piece":       {`"message":"a","logtag":"P"`, true},
		"containerd, fluentd: last":        {`"message":"a","logtag":"F"`, false},
		"fluent-bit: piece":                {`"log":"a","_p":"P"`, true},
		"fluent-bit: last":                 {`"log":"a","_p":"F"`, false},
		"an escaped tag":                   {`"log":"a","_p":"\u0050"`, true},
		"several tags":                     {`"log":"a","tags":"P:more"`, true},
		"the tag comes first":              {`"_p":"P","log":"a\n"`, true},
		"a tag wins":                       {`"log":"` + piece + `","logtag":"F"`, false},
		"tags of the app's own":            {`"log":"a","tags":["P"]`, false},
		"another word":                     {`"log":"a","tags":"Production"`, false},
		"no tag, short":                    {`"log":"a"`, false},
		"no tag, Docker's piece":           {`"log":"` + piece + `"`, true},
		"no tag, Docker's last":            {`"log":"` + piece + `\n"`, false},
		"no tag, a rune cut at both ends":  {`"log":"` + strings.Repeat(`\ufffd`, 3) + piece[6:] + strings.Repeat(`\ufffd`, 3) + `"`, true},
		"no tag, longer than a piece":      {`"log":"` + piece + piece + `"`, false},
		"no tag, shorter than a piece":     {`"log":"` + piece[1:] + `"`, false},
		"no tag, not the key of Docker":    {`"message":"` + piece + `"`, false},
		"no tag, an escape for an n in it": {`"log":"` + piece[3:] + `n\\n"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := &sdk.Message{Payload: []byte(`{` + c.members + `,"kubernetes":{"labels":{"app":"foo"}}}`)}
			_, e, err := decode(m)
			if err != nil || e.Partial != c.partial {
				t.Errorf("%v, partial %t", err, e.Partial)
			}
			checkAgainstOracle(t, testDecoder(), m.Payload)
		})
	}
}

// TestControllerHasNoPieces: each line of the controller is whole, since it names its app.
func TestControllerHasNoPieces(t *testing.T) {
	_, e, err := decode(&sdk.Message{Payload: []byte(
		`{"log":"INFO [foo]: a","logtag":"P","kubernetes":{"container_name":"deis-controller"}}`)})
	if err != nil || e.Partial {
		t.Errorf("%v, %+v", err, e)
	}
}
