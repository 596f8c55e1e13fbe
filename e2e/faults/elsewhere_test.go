package faults

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestStorageElsewhereKilled: a storage plugin that the host has not started may be killed and
// started again while lines flow, and no line is lost. It serves at a unix socket, as a sidecar
// does, or by TCP with mutual TLS.
func TestStorageElsewhereKilled(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			env := []string{"LOGGER_PLUGIN_STATE_DIR=" + t.TempDir()}
			listen := "unix://" + filepath.Join(harness.RunDir(t), "storage.sock")
			attach := harness.MemoryEnv()
			attach["LOGGER_STORAGE_ADDR"] = listen
			if network == "tcp" {
				c, at := redistest.NewCertificates(t), harness.FreeAddr(t)
				listen, attach["LOGGER_STORAGE_ADDR"] = "tcp://"+at, "dns:///"+at
				for name, file := range map[string]string{"CERT": c.CertFile, "KEY": c.KeyFile, "CA": c.CAFile} {
					env = append(env, "LOGGER_PLUGIN_TLS_"+name+"_FILE="+file)
					attach["LOGGER_STORAGE_TLS_"+name+"_FILE"] = file
				}
			}
			plugin, _ := harness.Elsewhere(t, "storage-memory", listen, env...)
			r := newRig(t, attach)
			r.every, r.elsewhere = busy, 1
			r.begin()
			for range 2 {
				r.goOn(300 * time.Millisecond)
				if err := plugin.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				_ = plugin.Wait()
				r.goOn(300 * time.Millisecond)
				plugin, _ = harness.Elsewhere(t, "storage-memory", listen, env...)
				r.flowing()
			}
			r.finish()
			if p := r.logger.Plugin("storage"); p.PID != 0 || p.Restarts < 2 {
				t.Errorf("the storage plugin: %+v", p)
			}
		})
	}
}
