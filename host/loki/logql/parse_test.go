package logql

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseErrors(t *testing.T) {
	for query, want := range map[string]string{
		"":                                 `line 1, column 1: unexpected end of the query, want a selector such as {app="foo"}, a number, vector(…), or one of the functions count_over_time, rate, bytes_over_time, bytes_rate, sum, count, min, max, avg, topk`,
		`{}`:                               `line 1, column 2: unexpected operator "}", want a label's name`,
		`{app="größe"} | level`:            `line 1, column 22: unexpected end of the query, want one of = != =~ !~ == > >= < <=`,
		"{app=\"foo\"}\n  |= \"a\"\n  | x": "line 3, column 6: unexpected end of the query, want one of = != =~ !~ == > >= < <=",
		`{app="foo"} | unwrap x`:           `line 1, column 15: unwrap is not supported, want one of json, logfmt, line_format, label_format, drop, keep, decolorize, or a label filter such as level="error"`,
		`{app="foo"} | pattern "<a>"`:      `line 1, column 15: pattern is not supported, want one of json, logfmt, line_format, label_format, drop, keep, decolorize, or a label filter such as level="error"`,
		`{app="foo"} |> "<a>"`:             `line 1, column 13: filters by pattern (|>) are not supported, want one of |= != |~ !~`,
		`{app=~"("}`:                       "line 1, column 7: want a regular expression (RE2): error parsing regexp: missing closing ): `(`",
		`{app=~"\d"}`:                      `line 1, column 7: a backslash in "…" begins an escape as in Go (\n, \", \\, \u00e9); write regular expressions in backquotes`,
		`{app='foo'}`:                      `line 1, column 6: unexpected character '\''; texts are in "…" or in backquotes`,
		`{app="foo`:                        `line 1, column 6: the text that begins here has no end: want " in the same line`,
		`rate({app="foo"}[$__auto])`:       `line 1, column 18: unexpected character '$'; variables such as $__auto are replaced before a query is sent`,
		`rate({app="foo"}[0s])`:            `line 1, column 18: want a range above 0`,
		`rate({app="foo"})`:                `line 1, column 17: unexpected operator ")", want a stage, or a range such as [5m]`,
		`rate({app="foo"}[300y])`:          `line 1, column 18: want a duration of at most 36500d`,
		`{app="foo"} + 1`:                  `line 1, column 1: want a metric, such as count_over_time({…} [1m]), here: lines cannot be calculated with`,
		`1 + bool 1`:                       `line 1, column 5: unexpected word "bool", want an operand: only comparisons take bool`,
		`1 and 1`:                          `line 1, column 3: unexpected word "and", want one of + - * / % ^ == != > >= < <=`,
		`sum(5)`:                           `line 1, column 5: want a vector, such as count_over_time({…} [1m]), here: a number has no elements to aggregate`,
		`{app="a"} | json x="a..b"`:        `line 1, column 20: want a path such as servers[0].headers["User-Agent"], not "a..b"`,
		`{app="a"} | line_format "{{"`:     `line 1, column 25: want a template: 1: unclosed action`,
		`{app="a"} | line_format "{{x}}"`:  `line 1, column 25: want a template: 1: function "x" not defined`,
		"{app=\"a\"} |= \"\xff\"":          `line 1, column 1: the query is not valid UTF-8`,
		"1e999":                            `line 1, column 1: the number 1e999 is too large`,
		"5x":                               `line 1, column 1: want a number, a duration such as 1h30m (units y w d h m s ms us ns, the longer first), or a size such as 20KB (B kB KB MB GB TB PB KiB MiB GiB TiB PiB)`,
	} {
		e, err := Parse(query)
		if err == nil || err.Error() != want {
			t.Errorf("%s: parsed as %v, error\n\t%v, want\n\t%s", query, e, err, want)
		}
	}
}

func TestExprString(t *testing.T) {
	for query, want := range map[string]string{
		`{ app="foo",level!=` + "`a`" + `}|="x"`:                          `{app="foo", level!="a"} |= "x"`,
		`({app=~"\\d"})`:                                                  "{app=~`\\d`}",
		`{app="foo"} | a="1",b=2 or c>1.50s`:                              `{app="foo"} | a="1" and b == 2 or c > 1s500ms`,
		`{app="foo"} | a="1" and (b=2e6 or c<=90m)`:                       `{app="foo"} | a="1" and (b == 2e+06 or c <= 1h30m)`,
		`{app="foo"} | JSON a="b.c",d|logfmt --keep-empty --strict`:       `{app="foo"} | json a="b.c", d | logfmt --strict --keep-empty`,
		`{app="foo"}|label_format a=b,c="{{.d}}"|DROP e,f="g"|decolorize`: `{app="foo"} | label_format a=b, c="{{.d}}" | drop e, f="g" | decolorize`,
		`sum(rate(({app="foo"}[60s] offset 24h|json)))by(b,a,b)`:          `sum by (a, b) (rate({app="foo"} | json [1m] offset 1d))`,
		`TOPK by()(5,vector(1))`:                                          `topk by () (5, vector(1))`,
		`1+2*3^4^5-6`:                                                     `1 + 2 * 3 ^ 4 ^ 5 - 6`,
		`((1+2)*3)^(4^5)-(6-7)`:                                           `((1 + 2) * 3) ^ 4 ^ 5 - (6 - 7)`,
		`(2^3)^4>bool-1`:                                                  `(2 ^ 3) ^ 4 > bool -1`,
	} {
		e, err := Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := e.String(); got != want {
			t.Errorf("%s: written as %s, want %s", query, got, want)
		}
		again(t, query, e)
	}
}

// TestParseBounds has queries that would take endless memory, stack or time.
func TestParseBounds(t *testing.T) {
	repeat := strings.Repeat
	for query, want := range map[string]string{
		`{app="` + repeat("a", MaxBytes) + `"}`:                                   "has 16392 bytes",
		repeat("(", 100) + "1" + repeat(")", 100):                                 "nested deeper",
		repeat("2^", 100) + "2":                                                   "nested deeper",
		"rate" + repeat("(", 100):                                                 "nested deeper",
		repeat("sum(", 100):                                                       "nested deeper",
		`{app="foo"} | ` + repeat("(", 100) + `a="b"`:                             "nested deeper",
		`{app="foo"}` + repeat("|json", 100):                                      "more than 64 stages",
		`{app="foo"} |~ "(a{100}){100}"`:                                          "want a regular expression",
		`{app="foo"} |~ "(a{100}){9}b{900}c{900}d{900}e{900}"`:                    "more than 4000 instructions",
		`{app="foo"} |~ "a{900}" |~ "b{900}" |~ "c{900}" |~ "d{900}" |~ "e{900}"`: "more than 4000 instructions",
		`{app=~"` + repeat("a", MaxRegexpBytes+1) + `"}`:                          "has 8193 bytes",
		`{app="foo"} | line_format "` + repeat("a", maxTemplate+1) + `"`:          "has 4097 bytes",
	} {
		if _, err := Parse(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s…: error %v, want one with %q", query, err, want)
		}
	}
	// What people write stays far below the bounds.
	apps := repeat("an-app-with-a-name|", 400) + "x"
	if _, err := Parse(`{app=~"` + apps + `"}`); err != nil {
		t.Errorf("401 apps: %v", err)
	}
	if _, err := Parse(repeat("1+", 5000) + "1"); err != nil {
		t.Errorf("5001 numbers: %v", err)
	}
}

// FuzzParse parses any text, and evaluates what was parsed.
func FuzzParse(f *testing.F) {
	for _, q := range readQueries(f) {
		f.Add(q.text, `{"level":"error","status":500,"inner":{"a":[1,2],"b":null}}`)
		f.Add(q.text, `level=error status=500 took=5s msg="a b" =x "`)
	}
	f.Fuzz(func(t *testing.T, query, line string) {
		stuck := time.AfterFunc(30*time.Second, func() { panic(fmt.Sprintf("endless: %q on %q", query, line)) })
		defer stuck.Stop()
		e, err := Parse(query)
		if err != nil {
			return
		}
		again(t, query, e)
		evaluate(t, e, line)
	})
}

// TestMaxStages: a query may have that many stages, and not one more.
func TestMaxStages(t *testing.T) {
	query := `{app="foo"}` + strings.Repeat(" | json", MaxStages)
	if _, err := Parse(query); err != nil {
		t.Error(err)
	}
	if _, err := Parse(query + " | json"); err == nil || !strings.Contains(err.Error(), "more than 64 stages") {
		t.Error(err)
	}
}
