package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/aggregatortest"
	"github.com/deis/logger/sdk/plugintest"
)

// folder is the transport as the suite wants it. Checks publish from several goroutines.
type folder struct{ path, away string }

func (f folder) Publish(payloads ...[]byte) error {
	for _, payload := range payloads {
		temp, err := os.CreateTemp(f.path, ".")
		if err == nil {
			_, err = temp.Write(payload)
		}
		if err == nil {
			err = temp.Close()
		}
		if err == nil {
			err = os.Rename(temp.Name(), filepath.Join(f.path, fmt.Sprintf("%09d", number.Add(1))))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f folder) Outstanding() (int, error) {
	files, err := os.ReadDir(f.path)
	if os.IsNotExist(err) {
		files, err = os.ReadDir(f.away)
	}
	return len(files), err
}

func (f folder) Break() error { return os.Rename(f.path, f.away) }
func (f folder) Mend() error  { return os.Rename(f.away, f.path) }

// number is that of the last message.
var number atomic.Int64

func newFolder(t *testing.T) folder {
	t.Helper()
	path := filepath.Join(t.TempDir(), "messages")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return folder{path, path + ".away"}
}

// noQueue is why a check is left out. Implement sdk.QueueLister, and it is not.
var noQueue = plugintest.Without("Queues", "it does not tell how much waits")

func openFolder(t *testing.T) (aggregatortest.Transport, func(t *testing.T) sdk.Aggregator) {
	f := newFolder(t)
	return f, func(t *testing.T) sdk.Aggregator {
		a, err := open(t.Context(), settings{Dir: f.path}, sdk.Host{})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func TestConformance(t *testing.T)       { aggregatortest.Run(t, openFolder, noQueue) }
func TestConformanceRemote(t *testing.T) { aggregatortest.RunRemote(t, openFolder, noQueue) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-aggregator-myplugin")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	aggregatortest.RunExecutable(t, path, func(t *testing.T) (aggregatortest.Transport, map[string]string) {
		f := newFolder(t)
		return f, map[string]string{"MYPLUGIN_DIR": f.path}
	}, noQueue)
}
