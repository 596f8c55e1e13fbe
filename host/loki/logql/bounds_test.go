package logql

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
)

// TestTemplateBounds has templates that make endless text from a short line.
func TestTemplateBounds(t *testing.T) {
	repeat := strings.Repeat
	long := repeat("x", 60_000)
	for name, stages := range map[string]string{
		"a line many times":     "| line_format `" + repeat("{{__line__}}", 300) + "`",
		"printf doubles":        "| line_format `{{$x := __line__}}" + repeat(`{{$x = printf "%s%s" $x $x}}`, 30) + "`",
		"printf quotes":         "| line_format `{{$x := __line__}}" + repeat(`{{$x = printf "%q" $x}}`, 30) + "`",
		"print doubles":         "| line_format `{{$x := __line__}}" + repeat(`{{$x = print $x $x}}`, 30) + "`",
		"replace multiplies":    `| line_format "{{ replace \"\" __line__ __line__ }}"`,
		"a wide printf":         `| line_format "{{ printf \"%9999999d\" 1 }}"`,
		"a wide printf by star": `| line_format "{{ printf \"%*d\" 9999999 1 }}"`,
		"printf of one value":   `| line_format "{{ printf \"%[1]s%[1]s\" __line__ }}"`,
		"a wide alignment":      `| line_format "{{ alignRight 999999999 \"x\" }}"`,
		"a date of dates":       "| line_format `" + repeat("{{ $x := date __line__ __timestamp__ }}", 40) + "`",
		"all labels":            `| line_format "{{ printf \"%v\" . }}"`,
		"labels of labels":      repeat("| label_format a=`{{__line__}}`, b=`{{__line__}}`, c=`{{__line__}}`", 10),
	} {
		p := pipeline(t, stages)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, labels, _ := p.Process(noon, long, stream)
		runtime.ReadMemStats(&after)
		if labels.Get(ErrorLabel) != templateError {
			t.Errorf("%s: labels %.200s, want %s", name, labels, templateError)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s: took %d bytes", name, n)
		}
	}
	for _, template := range []string{
		"{{ range 5 }}x{{ end }}", "{{ range $i := 5 }}x{{ end }}", `{{ define "x" }}{{ end }}`, `{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`,
		`{{ block "x" . }}{{ end }}`, `{{ template "x" }}`, `{{ js .a }}`, `{{ html .a }}`, `{{ .a | urlquery }}`, `{{ call .a }}`, `{{ index . "a" }}`, `{{ slice .a 1 }}`,
		`{{ println .a }}`, `{{ if (js .a) }}{{ end }}`, `{{ with .a }}{{ else }}{{ js . }}{{ end }}`, `{{ if .a }}{{ else if html .a }}{{ end }}`, `{{ (js .a).b }}`,
		`{{ $x := js .a }}`, `{{ printf "%s" (js .a) }}`,
	} {
		if _, err := newTemplate(template); err == nil {
			t.Errorf("%s: is a template", template)
		}
	}
}

// TestExtractBounds has lines with more fields than can become labels.
func TestExtractBounds(t *testing.T) {
	repeat := strings.Repeat
	var fields, pairs strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&fields, `"f%d":1,`, i)
		fmt.Fprintf(&pairs, "f%d=1 ", i)
	}
	for name, tc := range map[string]struct{ stages, line string }{
		"JSON, many fields":    {"| json", "{" + fields.String() + `"x":1}`},
		"JSON, deep":           {"| json", repeat(`{"a":`, 5000) + "1" + repeat("}", 5000)},
		"JSON, deep, no names": {"| json", repeat(`{"":`, 20_000)},
		"JSON, a long name":    {"| json", `{"` + repeat("a", 2000) + `":1}`},
		"logfmt, many fields":  {"| logfmt", pairs.String()},
		"logfmt, a long name":  {"| logfmt", repeat("a", 2000) + "=1"},
		"logfmt, a long key":   {"| logfmt --keep-empty", repeat("a", 2000)},
		"JSON, deep arrays":    {"| json", repeat(`[`, 20_000)},
		"a JSON path, invalid": {`| json a="b"`, repeat(`[`, 20_000)},
	} {
		_, labels, keep := pipeline(t, tc.stages).Process(noon, tc.line, stream)
		if kind := labels.Get(ErrorLabel); !keep || kind == "" {
			t.Errorf("%s: error %q, kept %v", name, kind, keep)
		}
	}
}

// TestAllocations checks what must not be allocated for each line.
func TestAllocations(t *testing.T) {
	for stages, most := range map[string]float64{
		`|= "GET" != "healthz" |~ "status=\\d+"`:                              0,
		`| logfmt | status>=200 and took<1m | level="info"`:                   0,
		`| json | status>=200, took<1m`:                                       0,
		`| json status="status" | status=200`:                                 0,
		`| drop level | keep app`:                                             0,
		`| decolorize`:                                                        0,
		`| label_format a=process`:                                            0,
		`| logfmt | line_format "{{.method}} {{.status}}"`:                    10,
		`| json | json | logfmt | drop __error__ | label_format b="{{.app}}"`: 10,
	} {
		p := pipeline(t, stages)
		line := `method=GET status=200 took=5ms msg="hello"`
		if strings.HasPrefix(stages, "| json") {
			line = `{"method":"GET","status":200,"took":"5ms","user":{"name":"foo"}}`
		}
		if _, _, keep := p.Process(noon, line, stream); !keep {
			t.Errorf("%s: dropped %s", stages, line)
		}
		// The fewest of some calls count: under the race detector, a sync.Pool such as that of
		// regexp drops a quarter of what is put back.
		got := math.Inf(1)
		for range 20 {
			got = min(got, testing.AllocsPerRun(1, func() { p.Process(noon, line, stream) }))
		}
		if got > most {
			t.Errorf("%s: %v allocations a line, want at most %v", stages, got, most)
		}
	}
}

func BenchmarkPipeline(b *testing.B) {
	text := `ts=2026-03-01T12:00:00Z method=GET path=/api/v1/users/12345 status=200 took=5.2ms bytes=18233 level=info msg="request served" request_id=8c1f3d0e-5a11 user=someone`
	object := `{"ts":"2026-03-01T12:00:00Z","method":"GET","path":"/api/v1/users/12345","status":200,"took":"5.2ms","bytes":18233,"level":"info","msg":"request served","user":{"name":"someone"}}`
	for name, tc := range map[string]struct{ stages, line string }{
		"contains":    {`|= "POST"`, text},
		"regexp":      {`|~ "status=5\\d\\d"`, text},
		"logfmt":      {`| logfmt | status>=500`, text},
		"json":        {`| json | status>=500`, object},
		"path":        {`| json status="status" | status>=500`, object},
		"line_format": {`| line_format "{{.app}} {{.level}} {{__line__}}"`, text},
	} {
		b.Run(name, func(b *testing.B) {
			p := pipeline(b, tc.stages)
			b.SetBytes(int64(len(tc.line)))
			b.ReportAllocs()
			for b.Loop() {
				p.Process(noon, tc.line, stream)
			}
		})
	}
}
