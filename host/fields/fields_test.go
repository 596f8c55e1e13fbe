package fields

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValues(t *testing.T) {
	for _, tc := range []struct{ names, message, object, text string }{
		{"a,b.c", `{"a":1,"b":{"c":"x y","d":2}}`, `{"a":1,"b.c":"x y"}`, `a=1 b.c="x y"`},
		{"status, user.name", ` {"user": {"name" : "ann"}, "status": 200 } `, `{"status":200,"user.name":"ann"}`, `status=200 user.name=ann`},
		{"log.level", `{"log.level":"error"}`, `{"log.level":"error"}`, `log.level=error`},
		{"a.b.c", `{"a.b":{"c":[1, {"d": null}]}}`, `{"a.b.c":[1,{"d":null}]}`, `a.b.c=[1,{"d":null}]`},
		{"a.b", `{"a":1,"a.b":2}`, `{"a.b":2}`, `a.b=2`},
		{"a.b", `{"a":{"b":1},"a.b":2,"a":{"b":3}}`, `{"a.b":3}`, `a.b=3`},
		{"b", `{"a":1,"b":12345678901234567890.5}`, `{"b":12345678901234567890.5}`, `b=12345678901234567890.5`},
		{"a", "{\"a\":\"x\u2028\u0085y\"}", `{"a":"x\u2028\u0085y"}`, "a=\"x\\u2028\\u0085y\""},
		{"a", `{"a":""}`, `{"a":""}`, `a=""`},
		{"a", `{"a":"\u001b[2J"}`, `{"a":"\u001b[2J"}`, `a="\u001b[2J"`},
		{"c", `{"a":1}`, "", ""},
		{"a", `a=1`, "", ""},
		{"a", `{"a":1`, "", ""},
		{"a", `{"a":1}}`, "", ""},
		{"a", `{"a":1} x {}`, "", ""},
		{"a", `["a"]`, "", ""},
		{"a", strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), "", ""},
		{"", `{"a":1}`, "", ""},
	} {
		names, err := Parse([]string{tc.names})
		if err != nil {
			t.Fatal(err)
		}
		values := names.Values(tc.message)
		object, text := "", ""
		if values != nil {
			object, text = string(names.AppendObject(nil, values)), names.Text(values)
		}
		if object != tc.object || text != tc.text {
			t.Errorf("%s of %.80s: %s, %s, want %s, %s", tc.names, tc.message, object, text, tc.object, tc.text)
		}
	}
}

func TestParse(t *testing.T) {
	names, err := Parse([]string{"a, b.c", "", "d,", "a,d"})
	if err != nil || !slices.Equal(names, Names{"a", "b.c", "d"}) {
		t.Errorf("%q, %v", names, err)
	}
	for _, bad := range []string{strings.Repeat("a", 201), strings.Repeat("a.", 9) + "a", strings.Repeat("a,", 21)} {
		if _, err := Parse([]string{bad}); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// FuzzValues: each value found is one line of well-formed JSON, and equals what encoding/json
// reads.
func FuzzValues(f *testing.F) {
	f.Add("a,b.c", `{"a":1,"b":{"c":"x"}}`)
	f.Add("a.b", `{"a":{"b":[ ]},"a.b":"\ud800"}`)
	f.Fuzz(func(t *testing.T, list, message string) {
		names, err := Parse([]string{list})
		if err != nil {
			return
		}
		values := names.Values(message)
		if values == nil {
			return
		}
		object := names.AppendObject(nil, values)
		if !json.Valid(object) || strings.ContainsAny(string(object), "\n\r") {
			t.Errorf("%q of %q: %q", list, message, object)
		}
		if text := names.Text(values); strings.ContainsAny(text, "\n\r") && !strings.ContainsAny(list, "\n\r") {
			t.Errorf("%q of %q: %q", list, message, text)
		}
		var whole map[string]any
		if json.Unmarshal([]byte(message), &whole) != nil {
			return // encoding/json is stricter
		}
		for i, name := range names {
			if !strings.Contains(list, ".") && (values[i] != nil) != (whole[name] != nil || hasNull(whole, name)) {
				t.Errorf("%q of %q: %q", name, message, values[i])
			}
		}
	})
}

func hasNull(whole map[string]any, name string) bool {
	value, has := whole[name]
	return has && value == nil
}
