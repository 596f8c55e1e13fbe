package stacktrace

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// groups holds lines as programs write them. Each text is one group, whose lines come one after the
// other from one container.
var groups = []struct {
	name  string
	texts []string
}{
	{"Java, printed", []string{
		"Listening on 8080",
		"Exception in thread \"main\" java.lang.IllegalStateException: no cart\n\tat com.example.Cart.get(Cart.java:12)\n\tat com.example.Main.main(Main.java:5)\n" +
			"Caused by: java.sql.SQLException: gone\n\tat com.example.Db.ask(Db.java:99)\n\t... 12 more",
		"Listening on 8081",
	}},
	{"Java, logged", []string{
		"2026-01-02 10:00:00.000  INFO 1 --- [main] c.e.Main : up",
		"2026-01-02 10:00:01.000 ERROR 1 --- [main] c.e.Main : failed\njava.lang.RuntimeException: boom\n\tat c.e.Main.run(Main.java:7) ~[classes!/:na]\n" +
			"\tSuppressed: java.io.IOException: x\n\t\tat c.e.Main.close(Main.java:9)\nCaused by: java.lang.Error\n\tat c.e.Main.go(Main.java:8)\n\t... 3 common frames omitted",
		"2026-01-02 10:00:02.000  INFO 1 --- [main] c.e.Main : down",
	}},
	{"Java without indents", []string{
		"java.lang.RuntimeException: boom\nat c.e.Main.run(Main.java:7)\nat c.e.Main.main(Main.java:8)\n... 12 more",
		"at noon it stopped",
	}},
	{"two exceptions of Java", []string{
		"java.lang.RuntimeException: boom\n\tat c.e.Main.run(Main.java:7)",
		"java.lang.RuntimeException: boom again\n\tat c.e.Main.run(Main.java:7)",
	}},
	{".NET", []string{
		"Unhandled exception. System.InvalidOperationException: boom\n   at Program.Main(String[] args) in /src/Program.cs:line 3\n" +
			"--- End of stack trace from previous location ---\n   at Program.Run()",
		"info: done",
	}},
	{"Python", []string{
		"starting",
		"Traceback (most recent call last):\n  File \"/app/a.py\", line 10, in <module>\n    f()\n    ^^^\nValueError: no",
		"next line",
	}},
	{"Python, chained", []string{
		"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'\n\n" +
			"During handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f()\nshop.errors.Gone",
		"127.0.0.1 - - GET / 500",
	}},
	{"Python, logged", []string{
		"ERROR:root:cannot sell\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nZeroDivisionError: division by zero",
		"INFO:root:sold",
	}},
	{"Python, two", []string{
		"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: 1",
		"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: 2",
	}},
	{"Go, a panic", []string{
		"2026/01/02 10:00:00 listening",
		"panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47f]\n\n" +
			"goroutine 1 [running]:\nmain.(*Cart).Get(0xc000012345, {0x1, 0x2})\n\t/src/cart.go:12 +0x1d\nmain.main()\n\t/src/main.go:5 +0x20\n\n" +
			"goroutine 7 [chan receive]:\nmain.f.func1(...)\n\t/src/main.go:9\ncreated by main.f in goroutine 1\n\t/src/main.go:8 +0x3c\nexit status 2",
		"2026/01/02 10:00:05 listening",
	}},
	{"Go, net/http", []string{
		"2026/01/02 10:00:00 http: panic serving 10.0.0.1:5000: boom\ngoroutine 20 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/lib/go/src/net/http/server.go:1 +0x1\npanic({0x1, 0x2})\n\t/usr/lib/go/src/runtime/panic.go:9",
	}},
	{"Go, fatal", []string{
		"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/src/main.go:5 +0x20",
		"done",
	}},
	{"Ruby", []string{
		"app.rb:10:in `foo': boom (RuntimeError)\n\tfrom app.rb:14:in `bar'\n\tfrom app.rb:20:in `<main>'",
		"=> Booting Puma",
	}},
	{"Rails", []string{
		"F, [2026-01-02T10:00:00.1 #1] FATAL -- : ActionController::RoutingError (No route):\napp/models/cart.rb:10:in `get'\n/usr/lib/ruby/a.rb:7:in 'block in call'",
		"I, [2026-01-02T10:00:01.1 #1]  INFO -- : up",
	}},
	{"Node", []string{
		"listening",
		"TypeError: Cannot read properties of undefined (reading 'a')\n    at f (/app/a.js:1:1)\n    at async Promise.all (index 0) {\n  errno: -2,\n  code: 'ENOENT'\n}",
		"listening",
	}},
	{"Node, uncaught", []string{
		"/app/a.js:10\n    throw new Error('boom')\n    ^\n\nError: boom\n    at f (/app/a.js:10:11)\n\nNode.js v20.1.0",
		"restarted",
	}},
	{"PHP", []string{
		"PHP Fatal error:  Uncaught Exception: boom in /app/a.php:3\nStack trace:\n#0 /app/a.php(7): f()\n#1 {main}\n  thrown in /app/a.php on line 3",
		"#1 in sales",
	}},
	{"Rust", []string{
		"thread 'main' panicked at src/main.rs:2:5:\nboom\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/1:5\nnote: run with `RUST_BACKTRACE=full`",
		"again",
	}},
	{"no traces", []string{"a", "b", "", "c", "Error rates are low", "at last", "... and more", "#7 ready", "x:in y", "}", "goroutines: 7", "panicking: no", "a.b(c) d", "Traceback follows", "nothing"}},
	{"JSON over several lines", []string{"{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}", "{\"d\":3}"}},
	{"errors in a row", []string{"ERROR no a", "ERROR no b", "WARN c"}},
}

func TestGroups(t *testing.T) {
	for _, tc := range groups {
		var got []string
		var trace Trace
		for i, text := range tc.texts {
			for j, line := range strings.Split(text, "\n") {
				if i+j > 0 && trace.Continues(line) {
					got[len(got)-1] += "\n" + line
				} else {
					trace, got = Begin(line), append(got, line)
				}
			}
		}
		if strings.Join(got, "\n---\n") != strings.Join(tc.texts, "\n---\n") {
			t.Errorf("%s:\n%s\n", tc.name, strings.Join(got, "\n---\n"))
		}
	}
}

// FuzzContinues: whatever the lines, none is read beyond its end, and indented lines continue.
func FuzzContinues(f *testing.F) {
	for _, tc := range groups {
		f.Add(strings.Join(tc.texts, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		trace := Begin("")
		for line := range strings.SplitSeq(text, "\n") {
			if !trace.Continues(line) {
				if strings.HasPrefix(line, "\t") {
					t.Errorf("%q does not continue", line)
				}
				trace = Begin(line)
			}
		}
	})
}

func BenchmarkContinues(b *testing.B) {
	line := "10.164.1.1 - - [02/Jan/2026:10:00:00 +0000] \"GET /items/5 HTTP/1.1\" 200 512 \"-\" \"curl/8.0\""
	trace := Begin(line)
	b.ReportAllocs()
	for b.Loop() {
		if trace.Continues(line) {
			b.Fatal(line)
		}
	}
}
