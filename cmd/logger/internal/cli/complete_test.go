package cli

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/client/clienttest"
)

func TestComplete(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "x")
	s.Append("food", "x")
	s.Append("bar", "x")
	s.Append("evil;rm", "x") // no logger has it
	sh := newShell(t, s)
	for _, tc := range []struct {
		words string // the last may be empty
		want  string
	}{
		{"", "tail apps delete serve dev doctor plugins completion version help"},
		{"ta", "tail"},
		{"tail ", "bar foo food"},
		{"tail fo", "foo food"},
		{"tail -f -n 5 fo", "foo food"},
		{"tail foo ", "bar food"},
		{"tail foo bar fo", "food"},
		{"delete foo ", ""},
		{"tail foo --fol", "--follow"},
		{"tail foo --since", "--since --since-time"},
		{"tail --color ", "auto always never"},
		{"tail --color=a", "auto always"},
		{"tail --color = a", "auto always"}, // as bash parts it
		{"tail --color =", "auto always never"},
		{"tail -o j", "json"},
		{"tail --level ", "trace debug info warn error fatal"},
		{"tail --level=e", "error"},
		{"tail --source ", "app controller"},
		{"tail --token-file /et", ":file"},
		{"tail --pod ", ""},
		{"tail --nosuch fo", "foo food"},
		{"delete b", "bar"},
		{"apps foo f", "foo food"},
		{"completion ", "bash zsh fish"},
		{"plugins ", "check new"},
		{"plugins check ./", ":file"},
		{"plugins check ", ""},
		{"plugins new ", "storage aggregator"},
		{"plugins new storage x --la", "--lang"},
		{"plugins new storage x --lang ", "go python node"},
		{"plugins new storage x --lang=p", "python"},
		{"plugins new --sdk /et", ":file"},
		{"serve ", ""},
		{"nosuch ", ""},
	} {
		words := strings.Split(tc.words, " ")
		if code := sh.run(append([]string{completeCommand}, words...)...); code != ExitOK || sh.stderr.String() != "" {
			t.Errorf("%q: %d %s", tc.words, code, sh.stderr)
		}
		got := map[string]bool{}
		for line := range strings.Lines(sh.stdout.String()) {
			word, _, _ := strings.Cut(line, "\t")
			got[word] = true
		}
		want := strings.Fields(tc.want)
		for _, w := range want {
			if !got[w] {
				t.Errorf("%q: no %q in %q", tc.words, w, sh.stdout)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%q: %q, want %q", tc.words, sh.stdout, tc.want)
		}
	}
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "no", http.StatusForbidden)
		return true
	})
	sh.want(ExitOK, "", "", completeCommand, "tail", "")
	sh.want(ExitOK, "", "", completeCommand, "tail", "--server", "http://127.0.0.1:1", "")
	sh.want(ExitOK, "", "", completeCommand)
}

// TestScriptsOfAnotherName: the scripts complete the program under the name by which it was called,
// with or without a folder.
func TestScriptsOfAnotherName(t *testing.T) {
	sh := newShell(t, nil)
	for shell, end := range map[string]string{"bash": "\ncomplete -F _logger_complete %s\n", "zsh": "\n\tcompdef _logger %s\nfi\n", "fish": "\ncomplete -c %s -f -a '(__logger_complete)'\n"} {
		for called, name := range map[string]string{"": "logger", "logger": "logger", "deis-logger": "deis-logger", "a;b": "logger"} {
			sh.name = called
			want := strings.Replace(end, "%s", name, 1)
			if code := sh.run("completion", shell); code != ExitOK || !strings.HasSuffix(sh.stdout.String(), want) {
				t.Errorf("%s as %q: %d %s, want %q at its end", shell, called, code, sh.stdout, want)
			}
		}
	}
}

// TestBashScript lets bash complete with the printed script. A logger answers its requests.
func TestBashScript(t *testing.T) {
	dir := t.TempDir()
	const fake = "#!/bin/sh\nif [ \"$*\" = '__complete tail fo' ]; then printf 'foo\\t3 lines\\nfood\\t1 lines\\n'; fi\n" +
		"if [ \"$*\" = '__complete tail --token-file /etc/host' ]; then printf ':file\\t\\n'; fi\n"
	if err := os.WriteFile(filepath.Join(dir, "logger"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	sh := newShell(t, nil)
	if code := sh.run("completion", "bash"); code != ExitOK {
		t.Fatal(sh.stderr)
	}
	for line, want := range map[string]string{
		"logger tail fo":                      "foo food",
		"logger tail --token-file /etc/hosts": "",
	} {
		words := strings.ReplaceAll(line, "hosts", "host")
		script := sh.stdout.String() + "\nCOMP_WORDS=(" + words + "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _logger_complete; echo \"${COMPREPLY[*]}\"\n"
		cmd := exec.Command("bash", "--norc", "-eu", "-c", script)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		if err != nil || want != "" && got != want || want == "" && !strings.Contains(got, "/etc/host") {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want)
		}
	}
}
