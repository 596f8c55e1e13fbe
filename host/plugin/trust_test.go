package plugin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func sumOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// trusting returns a Trust of a checksum file with these lines.
func trusting(t *testing.T, lines ...string) *Trust {
	t.Helper()
	file := filepath.Join(t.TempDir(), "SHA256SUMS")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trust, err := NewTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestListedPluginRunsFromAPrivateCopy(t *testing.T) {
	for name, listed := range map[string]func(path string) string{
		"by its path":           func(path string) string { return path },
		"by its name":           filepath.Base,
		"below a relative path": func(path string) string { return "bin/plugins/" + filepath.Base(path) },
	} {
		t.Run(name, func(t *testing.T) {
			exe := install(t, sdk.StorageKind, "toy", "toy")
			opts := testOptions(t, exe, nil)
			opts.Trust = trusting(t, "# a comment", "", sumOf(t, exe.Path)+" *"+listed(exe.Path))
			s, _ := supervise(t, opts)
			inst := wait(t, s)
			path := processOf(inst).cmd.Path
			if !strings.HasPrefix(path, opts.RunDir+"/") || sumOf(t, path) != sumOf(t, exe.Path) {
				t.Errorf("it runs from %s", path)
			}
			file, err := os.Stat(path)
			folder, err2 := os.Stat(filepath.Dir(path))
			if err != nil || err2 != nil || file.Mode().Perm() != 0o500 || folder.Mode().Perm() != 0o700 {
				t.Errorf("the copy has mode %v in a folder of mode %v (%v, %v)", file.Mode(), folder.Mode(), err, err2)
			}
		})
	}
}

func TestWithoutChecksumsNothingIsCopied(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	s, _ := supervise(t, testOptions(t, exe, nil))
	if path := processOf(wait(t, s)).cmd.Path; path != exe.Path {
		t.Errorf("it runs from %s, not from %s", path, exe.Path)
	}
}

func TestUntrustedPluginEndsTheRun(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	other := strings.Repeat("0a", 32)
	for name, tc := range map[string]struct{ line, want string }{
		"differs":  {other + "  logger-storage-toy", exe.Path + " has SHA-256 " + sumOf(t, exe.Path) + ": line 1 of LOGGER_PLUGIN_CHECKSUMS=%q wants " + other},
		"unlisted": {sumOf(t, exe.Path) + "  logger-storage-other", exe.Path + " with SHA-256 " + sumOf(t, exe.Path) + " is not listed in LOGGER_PLUGIN_CHECKSUMS=%q"},
		"elsewhere": {
			sumOf(t, exe.Path) + "  /elsewhere/logger-storage-toy",
			exe.Path + " with SHA-256 " + sumOf(t, exe.Path) + " is not listed in LOGGER_PLUGIN_CHECKSUMS=%q",
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t, exe, nil)
			opts.Trust = trusting(t, tc.line)
			told := make(chan error, 1)
			_, ended := supervise(t, withValidated(opts, told))
			want := fmt.Sprintf(tc.want, opts.Trust.sums.files)
			if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if err := <-told; !errors.Is(err, sdk.ErrInvalid) {
				t.Errorf("the host was told %v", err)
			}
		})
	}
}

func TestChangedPluginNeverRuns(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	opts := testOptions(t, exe, nil)
	opts.BackoffMin, opts.BackoffMax = time.Millisecond, 4*time.Millisecond
	good := sumOf(t, exe.Path)
	opts.Trust = trusting(t, good+"  logger-storage-toy")
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	original, err := os.ReadFile(exe.Path)
	if err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	script := "#!/bin/sh\ntouch '" + ran + "'\n" + strings.TrimPrefix(string(original), "#!/bin/sh\n")
	if err := os.WriteFile(exe.Path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); err != nil {
		t.Errorf("the running plugin is disturbed: %v", err)
	}
	if err := syscall.Kill(inst.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "several refused attempts", func() bool { return s.Status().Restarts > 3 })
	for _, want := range []string{exe.Path, good, sumOf(t, exe.Path)} {
		if reason := s.Status().Reason; !strings.Contains(reason, want) || strings.Contains(reason, "\n") {
			t.Errorf("reason %q, want one line with %s", reason, want)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the changed plugin ran")
	}
	if err := os.WriteFile(exe.Path, original, 0o700); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "it is mended", func() bool { _, err := s.Current(); return err == nil })
}

// TestWhatIsHashedRuns changes the file after it was admitted.
func TestWhatIsHashedRuns(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	sum := sumOf(t, exe.Path)
	admitted, err := trusting(t, sum+"  logger-storage-toy").admit(exe, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(admitted.folder) }()
	if err := os.WriteFile(exe.Path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if admitted.file != nil || sumOf(t, admitted.path) != sum {
		t.Error("what is run is not what was hashed")
	}
}

// TestCopyThatAnotherUserExchanges: everybody may write to the folder that contains the run folder,
// and somebody replaces the copy after it was hashed.
func TestCopyThatAnotherUserExchanges(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	trust := trusting(t, sumOf(t, exe.Path)+"  logger-storage-toy")
	open := t.TempDir()
	chmod(t, open, 0o777)
	dir := filepath.Join(open, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	admitted, err := trust.admit(exe, dir)
	if err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(admitted.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(admitted.path, []byte("#!/bin/sh\ntouch '"+ran+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newProcess(exec.Command(admitted.path), newLogRelay(hclog.NewNullLogger()), t.Name())
	p.file = admitted.file
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, p.Stdout()) }() // until the process ends
	p.end(20 * time.Second)
	if _, err := os.Stat(ran); err == nil {
		t.Error("what was put in the place of the copy ran")
	}

	opts := testOptions(t, exe, nil) // the hashed file runs
	opts.Trust = trust
	chmod(t, opts.RunDir, 0o777)
	s, _ := supervise(t, opts)
	if path := processOf(wait(t, s)).cmd.Path; path != "/proc/self/fd/4" {
		t.Errorf("it runs from %s", path)
	}
}

// TestWhatIsNoFileIsRefused: a FIFO that nobody writes to would delay the start for ever.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	soon := func(what string, ask func() error) {
		t.Helper()
		asked := make(chan error, 1)
		go func() { asked <- ask() }()
		select {
		case err := <-asked:
			if !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "no regular file") {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: no answer", what)
			if f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				_ = f.Close() // frees whoever waits
			}
			if err := <-asked; err == nil {
				t.Errorf("%s: taken", what)
			}
		}
	}
	for _, path := range []string{fifo, filepath.Dir(fifo)} {
		trust := trusting(t, strings.Repeat("0a", 32)+"  "+path)
		soon(path+" as list", func() error {
			_, err := readChecksumFile(path)
			return err
		})
		exe := Executable{Kind: sdk.StorageKind, Name: "toy", Path: path}
		soon(path+" as inspected plugin", func() error {
			_, err := trust.Inspect(exe)
			return err
		})
		soon(path+" as plugin", func() error {
			_, err := trust.admit(exe, t.TempDir())
			return err
		})
	}
}

func TestFolderWithoutExecution(t *testing.T) {
	really := allowsExecution
	defer func() { allowsExecution = really }()
	exe := install(t, sdk.StorageKind, "toy", "toy")
	opts := testOptions(t, exe, nil)
	opts.Trust = trusting(t, sumOf(t, exe.Path)+"  logger-storage-toy")
	t.Setenv("TMPDIR", t.TempDir())
	allowsExecution = func(folder string) bool { return !strings.HasPrefix(folder, opts.RunDir) && really(folder) }
	t.Run("elsewhere", func(t *testing.T) {
		s, _ := supervise(t, opts)
		path := processOf(wait(t, s)).cmd.Path
		if !strings.HasPrefix(path, os.TempDir()) {
			t.Errorf("it runs from %s", path)
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "x*")); len(left) > 0 {
			t.Errorf("left for a killed host to leave behind: %q", left)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		allowsExecution = func(string) bool { return false }
		opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
		s, _ := supervise(t, opts)
		testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
		reason := s.Status().Reason
		for _, want := range []string{"LOGGER_RUN_DIR", "noexec", os.TempDir()} {
			if !strings.Contains(reason, want) {
				t.Errorf("%q is not in: %s", want, reason)
			}
		}
	})
}

// withValidated sends the host's result of the first attempt to a channel.
func withValidated(opts Options, told chan<- error) Options {
	opts.Validated = func(_ context.Context, err error) { told <- err }
	return opts
}

func TestWhatOthersCanChangeIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil   func(t *testing.T, dir, path string)
		culprit string // below dir; "" if there is none
	}{
		"fine":                               {func(*testing.T, string, string) {}, ""},
		"file for group":                     {func(t *testing.T, _, path string) { chmod(t, path, 0o770) }, "plugins/logger-storage-toy"},
		"file for others":                    {func(t *testing.T, _, path string) { chmod(t, path, 0o702) }, "plugins/logger-storage-toy"},
		"folder for group":                   {func(t *testing.T, dir, _ string) { chmod(t, dir+"/plugins", 0o775) }, "plugins"},
		"folder for others, sticky":          {func(t *testing.T, dir, _ string) { chmod(t, dir+"/plugins", 0o777|os.ModeSticky) }, "plugins"},
		"folder above for others":            {func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) }, "."},
		"folder above for others, sticky":    {func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777|os.ModeSticky) }, ""},
		"folder above for its owner's group": {func(t *testing.T, dir, _ string) { own(t, dir, me(), me()); chmod(t, dir, 0o775) }, ""},
		"folder above for root's group":      {func(t *testing.T, dir, _ string) { own(t, dir, me(), 0); chmod(t, dir, 0o770) }, ""},
		"folder above for another group":     {func(t *testing.T, dir, _ string) { own(t, dir, me(), somebody); chmod(t, dir, 0o770) }, "."},
		"folder above for another group, sticky": {func(t *testing.T, dir, _ string) {
			own(t, dir, me(), somebody)
			chmod(t, dir, 0o770|os.ModeSticky)
		}, ""},
		"folder above of another user":         {func(t *testing.T, dir, _ string) { own(t, dir, somebody, somebody) }, "."},
		"folder above of another user, sticky": {func(t *testing.T, dir, _ string) { own(t, dir, somebody, 0); chmod(t, dir, 0o777|os.ModeSticky) }, "."},
		"link above into another user's folder": {func(t *testing.T, dir, _ string) {
			relink(t, dir+"/plugins", dir+"/elsewhere/deep/plugins")
			own(t, dir+"/elsewhere", somebody, somebody)
		}, "elsewhere"},
		"link above of another user in a sticky folder": {func(t *testing.T, dir, _ string) {
			relink(t, dir+"/plugins", dir+"/elsewhere/deep/plugins")
			own(t, dir+"/plugins", somebody, somebody)
			chmod(t, dir, 0o777|os.ModeSticky)
		}, "plugins"},
		"link above out of a folder that is fine": {func(t *testing.T, dir, _ string) {
			relink(t, dir+"/plugins", "elsewhere/deep/../deep/plugins")
		}, ""},
		"file of another user": {func(t *testing.T, _, path string) { own(t, path, somebody, somebody) }, "plugins/logger-storage-toy"},
		"link to what others can change": {func(t *testing.T, dir, path string) {
			relink(t, path, dir+"/elsewhere/real")
			chmod(t, dir+"/elsewhere/real", 0o722)
		}, "elsewhere/real"},
		"link into a folder of others": {func(t *testing.T, dir, path string) {
			relink(t, path, "../elsewhere/real")
			chmod(t, dir+"/elsewhere", 0o770)
		}, "elsewhere"},
		"link by way of a folder of others": {func(t *testing.T, dir, path string) {
			relink(t, path, dir+"/elsewhere/real")
			if err := os.Mkdir(dir+"/middle", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(dir+"/elsewhere/real", dir+"/middle/link"); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../middle/link", path); err != nil {
				t.Fatal(err)
			}
			chmod(t, dir+"/middle", 0o777|os.ModeSticky)
		}, "middle"},
		"link that is fine": {func(t *testing.T, dir, path string) { relink(t, path, dir+"/elsewhere/real") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, sub := range []string{"/plugins", "/elsewhere", "/elsewhere/deep"} {
				if err := os.Mkdir(dir+sub, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			path := dir + "/plugins/logger-storage-toy"
			if err := os.WriteFile(path, nil, 0o700); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, dir, path)
			err = checkOwnership(path)
			if tc.culprit == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			culprit := filepath.Join(dir, tc.culprit)
			if !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), culprit+": ") {
				t.Errorf("got %v, want a refusal of %s", err, culprit)
			}
		})
	}
}

func TestPluginThatOthersCanChangeIsNotRun(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	chmod(t, exe.Path, 0o770)
	_, ended := supervise(t, testOptions(t, exe, nil))
	if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "mode -rwxrwx---") {
		t.Errorf("got %v", err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// relink moves the file and puts a link in its place.
func relink(t *testing.T, path, target string) {
	t.Helper()
	file := target
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(path), file)
	}
	if err := os.Rename(path, file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

const somebody = 12345

func me() uint32 { return uint32(os.Geteuid()) }

// own gives the file to a user: really if root, and otherwise as far as the check can see.
func own(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	if me() == 0 {
		if err := os.Lchown(path, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		return
	}
	really := ownerOf
	ownerOf = func(at string, info fs.FileInfo) (u, g uint32, ok bool) {
		if at == path {
			return uid, gid, true
		}
		return really(at, info)
	}
	t.Cleanup(func() { ownerOf = really })
}

// moveBelow moves the file's folder below another one.
func moveBelow(t *testing.T, path, above string) string {
	t.Helper()
	moved := filepath.Join(above, "plugins", filepath.Base(path))
	if err := os.Rename(filepath.Dir(path), filepath.Dir(moved)); err != nil {
		t.Fatal(err)
	}
	return moved
}

// TestFolderAboveThatAnotherUserExchanges: the owner of a folder above the plugin's can replace it,
// and so have another program run at the next start.
func TestFolderAboveThatAnotherUserExchanges(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	above := t.TempDir()
	exe.Path = moveBelow(t, exe.Path, above)
	opts := testOptions(t, exe, nil)
	opts.BackoffMin, opts.BackoffMax = time.Millisecond, 4*time.Millisecond
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	own(t, above, somebody, somebody)
	if err := syscall.Kill(inst.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want := exe.Path + ": " + above + ": it belongs to user 12345"
	testwait.Within(t, 20*time.Second, "it is refused", func() bool { return strings.HasPrefix(s.Status().Reason, want) })
	if _, err := s.Current(); err == nil {
		t.Error("it was started all the same")
	}
}

func TestChecksumFile(t *testing.T) {
	a, b := strings.Repeat("ab", 32), strings.Repeat("CD", 32)
	for text, want := range map[string]string{
		"":                              "",
		a + "  x\n" + b + " *y\r\n":     "",
		"# c\n\n" + a + "  a name\n":    "",
		a + "  x\n" + a + "  plugins/x": "",
		a + "  x\n\n" + b + "  ./x":     `line 3: "x" is in line 1 too, with another sum`,
		a + "  x\nhello\n":              `line 2: "hello": want 64 hexadecimal digits`,
		a[1:] + "  x":                   "line 1: ",
		a + " x":                        "line 1: ",
		a + "  ":                        "line 1: ",
		strings.Repeat("x", 64) + "  x": "line 1: ",
		"SHA256 (x) = " + a:             "line 1: ",
		"\\" + a + "  x":                "line 1: ",
		a + "  x\n" + strings.Repeat("x", 100_000): "line 2: ",
	} {
		_, err := parseChecksums(strings.NewReader(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%.80q: got %v, want %s", text, err, want)
		}
	}
	lines, err := parseChecksums(strings.NewReader(b + "  ./y\n" + a + "  /opt/../etc/z\n"))
	if err != nil || lines["y"].sum != strings.ToLower(b) || lines["/etc/z"].line != 2 {
		t.Errorf("got %v, %v", lines, err)
	}
}

func TestChecksumFileThatOthersCanChangeIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sums")
	if _, err := NewTrust(file); !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(file, []byte("junk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("LOGGER_PLUGIN_CHECKSUMS=%q: line 1: ", file)
	if _, err := NewTrust(file); !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("malformed: %v", err)
	}
	chmod(t, file, 0o602)
	if _, err := NewTrust(file); !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "mode -rw-----w-") {
		t.Errorf("for others: %v", err)
	}
}

func FuzzParseChecksums(f *testing.F) {
	f.Add(strings.Repeat("ab", 32) + "  x\n")
	f.Add("# x\n\n" + strings.Repeat("AB", 32) + " */a/b\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parseChecksums(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, sum := range lines {
			if len(sum.sum) != 64 || name == "" || sum.line < 1 {
				t.Errorf("%q: %+v", name, sum)
			}
		}
	})
}
