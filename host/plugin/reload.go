package plugin

import (
	"errors"
	"os"
	"time"
)

// errReload ends an instance whose executable has changed.
var errReload = errors.New("the plugin's file changed")

// reloadPause is the time between two looks at a plugin's file. A file counts as changed once two
// looks in a row found it the same: before that it may still be written.
const reloadPause = 200 * time.Millisecond

// fileWatch tells when a plugin's file has changed.
type fileWatch struct {
	changed chan struct{} // has room for one
	stop    chan struct{}
	ended   chan struct{}
}

// watchFile watches the file from now on, until end is called.
func watchFile(path string) *fileWatch {
	w := &fileWatch{changed: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	first, _ := os.Stat(path)
	go w.run(path, first)
	return w
}

func (w *fileWatch) end() {
	close(w.stop)
	<-w.ended
}

func (w *fileWatch) run(path string, told os.FileInfo) {
	defer close(w.ended)
	ticker := time.NewTicker(reloadPause)
	defer ticker.Stop()
	last := told
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		now, err := os.Stat(path)
		if err != nil {
			last = nil // it is being replaced
			continue
		}
		if sameFile(now, last) && !sameFile(now, told) && executable(path) {
			told = now
			select {
			case w.changed <- struct{}{}:
			default: // it is told already
			}
		}
		last = now
	}
}

// sameFile reports whether both are the same file, with nothing written to it in between.
func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
