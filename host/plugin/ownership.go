package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/deis/logger/sdk"
)

// maxLinks is how many links may lead from one to the next, as in Linux.
const maxLinks = 40

// hostUser is a variable so that a test need not be root to meet files of others.
var hostUser = os.Geteuid

// checkOwnership refuses a file that anybody but root and the host's own user could
// change or replace, with an error that wraps [sdk.ErrInvalid]. The file and the folder
// that it is in, and the folder of each link that leads to it, belong to root or to the
// host's user, and nobody else may write to them, whatever their sticky bit.
//
// The folders above are refused only when everybody may write to them and no sticky bit
// protects what is in them: many systems let a group, often of one member, write to a
// person's folders, and in a container the owner of a folder above may be unknown.
func checkOwnership(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	at := path
	for range maxLinks {
		folder := filepath.Dir(at)
		if err := checkOwned(folder, path); err != nil {
			return err
		}
		resolved, err := filepath.EvalSymlinks(folder)
		if err != nil {
			return err
		}
		for _, f := range []string{folder, resolved} {
			if err := checkAbove(f, path); err != nil {
				return err
			}
		}
		target, err := os.Readlink(at)
		if err != nil { // not a link
			return checkOwned(at, path)
		}
		if at = target; !filepath.IsAbs(at) {
			at = filepath.Join(resolved, target)
		}
	}
	return refuseOwnership(path, at, "too many links lead to it")
}

// checkOwned looks at the file or a folder on the way to path.
func checkOwned(p, path string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return refuseOwnership(path, p, fmt.Sprintf("group or others may write to it (mode %s)", info.Mode()))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int64(stat.Uid) != int64(hostUser()) {
		return refuseOwnership(path, p, fmt.Sprintf("it belongs to user %d", stat.Uid))
	}
	return nil
}

// checkAbove looks at the folders above a folder on the way to path.
func checkAbove(folder, path string) error {
	for above := filepath.Dir(folder); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return refuseOwnership(path, above, fmt.Sprintf("everybody may write to it (mode %s)", info.Mode()))
		}
		if above == filepath.Dir(above) {
			return nil
		}
	}
}

func refuseOwnership(path, culprit, why string) error {
	if culprit != path {
		path += ": " + culprit
	}
	return sdk.Refusef("%s: %s: want a file and folder that belong to root or to user %d and that nobody else may write to",
		path, why, hostUser())
}
