package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestGiven(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
		err  string
	}{
		"nothing":           {nil, "", ""},
		"the variable":      {map[string]string{"A": "x\n"}, "x\n", ""},
		"a file":            {map[string]string{"A_FILE": file("a", " x y\r\n\n")}, " x y", ""},
		"an empty file":     {map[string]string{"A_FILE": file("b", "\n")}, "", ""},
		"an empty variable": {map[string]string{"A": "", "A_FILE": file("c", "x")}, "x", ""},
		"both":              {map[string]string{"A": "x", "A_FILE": file("d", "x")}, "", "A and A_FILE are both set: want one of them"},
		"no file":           {map[string]string{"A_FILE": filepath.Join(dir, "none")}, "", `/none": want a file with the value: `},
		"a folder":          {map[string]string{"A_FILE": dir}, "", "it is no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Given("A", func(env string) (string, bool) { v, ok := tc.env[env]; return v, ok })
			if got != tc.want || (err == nil) != (tc.err == "") {
				t.Fatalf("%q, %v", got, err)
			}
			if err != nil && (!errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), tc.err) || strings.HasSuffix(err.Error(), ": invalid")) {
				t.Errorf("error %q, want %q in it", err, tc.err)
			}
		})
	}
}

// TestSecretFromAFile: each start of a plugin reads the file again, so a changed password applies
// from the next start on.
func TestSecretFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hunter2\n")
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), map[string]string{"TEST_TOKEN_FILE": file})
	s, _ := supervise(t, opts)
	wait(t, s)
	if got := ask(t, s, "settings"); !strings.Contains(got, "Token:hunter2}") {
		t.Errorf("settings %s", got)
	}
	write("hunter3\n")
	before := wait(t, s).PID
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "another process", func() bool { inst, err := s.Current(); return err == nil && inst.PID != before })
	if got := ask(t, s, "settings"); !strings.Contains(got, "Token:hunter3}") {
		t.Errorf("settings %s after the change", got)
	}
}

// TestFileOfASecretIsForItsOwnerAlone: another plugin that declares the variable, with or without
// the suffix, would otherwise get the secret or the path of its file.
func TestFileOfASecretIsForItsOwnerAlone(t *testing.T) {
	toy := install(t, sdk.StorageKind, "toy", "toy")
	survey := surveyed(t, toy, toy).Survey
	other := Executable{Kind: sdk.StorageKind, Name: "other"}
	for env, want := range map[string]string{
		"TEST_TOKEN_FILE":                 "TEST_TOKEN_FILE, and TEST_TOKEN is a secret of plugin storage-toy: ",
		"LOGGER_SESSION_KEY":              "LOGGER_SESSION_KEY, and LOGGER_SESSION_KEY_FILE is for the logger alone",
		"NSQ_TLS_KEY":                     "NSQ_TLS_KEY, and NSQ_TLS_KEY_FILE is for plugin aggregator-nsq alone",
		"DEIS_LOGGER_REDIS_PASSWORD_FILE": "DEIS_LOGGER_REDIS_PASSWORD_FILE, and DEIS_LOGGER_REDIS_PASSWORD is for plugin storage-redis alone",
	} {
		err := survey.Refuse(sdk.Setting{Env: env}, other)
		if !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "plugin storage-other declares "+want) {
			t.Errorf("%s: %v", env, err)
		}
	}
	for _, env := range []string{"TEST_TOKEN", "TEST_WORD_FILE", "TEST_FILE"} {
		if err := survey.Refuse(sdk.Setting{Env: env}, toy); err != nil {
			t.Errorf("%s of its owner: %v", env, err)
		}
	}
}
