package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/deis/logger/sdk"
)

// maxLinks bounds how many links may follow one another, as in Linux.
const maxLinks = 40

// checkOwnership refuses a file that anybody but root and the host's own user could change or
// replace, with an error that wraps [sdk.ErrInvalid].
//
// Everything on the way to the file must belong to root or to the host's user, including links and
// what they lead to. Nobody else may write to the file, or to a folder that has it or a link to it.
// The folders above may be sticky, or let a group write that is root's or its owner's private one,
// since a umask of 002 leaves them so.
//
// The way is walked from its top. Only root and the host's user can exchange what is in a folder
// that was found to be safe, so what was checked is what is opened later.
func checkOwnership(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	const root = string(filepath.Separator)
	folder, rest, links := root, names(path), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			folder = filepath.Dir(folder) // it has no links in it
			continue
		}
		last := len(rest) == 0
		if err := checkFolder(folder, path, last); err != nil {
			return err
		}
		at := filepath.Join(folder, name)
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if err := checkOwner(at, path, info); err != nil {
			return err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return refuseOwnership(path, at, "too many links lead to it")
			}
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) {
				folder = root
			}
			rest = append(names(target), rest...)
		case last && info.Mode().Perm()&0o022 != 0:
			return refuseOwnership(path, at, fmt.Sprintf("group or others may write to it (mode %s)", info.Mode()))
		default:
			folder = at
		}
	}
	return nil
}

// names returns the parts of a path. It keeps "..", which leads out of what a link leads to.
func names(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, string(filepath.Separator)) {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// checkFolder checks a folder on the way to path. last says that the folder has the file, or a link
// to it.
func checkFolder(folder, path string, last bool) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if err := checkOwner(folder, path, info); err != nil {
		return err
	}
	mode := info.Mode()
	group, others := mode.Perm()&0o020 != 0, mode.Perm()&0o002 != 0
	if !last {
		sticky := mode&fs.ModeSticky != 0
		group = group && !sticky && !privateGroup(folder, info)
		others = others && !sticky
	}
	switch {
	case others:
		return refuseOwnership(path, folder, fmt.Sprintf("everybody may write to it (mode %s)", mode))
	case group:
		return refuseOwnership(path, folder, fmt.Sprintf("its group may write to it (mode %s)", mode))
	}
	return nil
}

// checkOwner refuses what belongs to a user other than root and the host's.
func checkOwner(at, path string, info fs.FileInfo) error {
	if uid, _, ok := ownerOf(at, info); ok && uid != 0 && int64(uid) != int64(os.Geteuid()) {
		return refuseOwnership(path, at, fmt.Sprintf("it belongs to user %d", uid))
	}
	return nil
}

// privateGroup reports whether the folder's group is root's or its owner's private one. If the
// folder has an access list, the group's bits stand for others too, so the group is not private.
func privateGroup(folder string, info fs.FileInfo) bool {
	uid, gid, ok := ownerOf(folder, info)
	return ok && (gid == 0 || gid == uid) && !hasAccessList(folder)
}

// ownerOf returns the owner of a file. It is a variable so that a test need not be root to meet
// files of others.
var ownerOf = func(_ string, info fs.FileInfo) (uid, gid uint32, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return stat.Uid, stat.Gid, true
}

func refuseOwnership(path, culprit, why string) error {
	if culprit != path {
		path += ": " + culprit
	}
	return sdk.Refusef("%s: %s: want a file and folders that belong to root or to user %d and that nobody else may write to",
		path, why, os.Geteuid())
}
