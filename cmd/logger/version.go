package main

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

// version, commit and date are stamped by the build (tools/stamps.sh). In a program that "go build"
// made, commit and date come from Git, unless Go was told to leave them out.
var (
	version = "dev"
	commit  = ""
	date    = "" // of the commit, so that the same source gives the same program
)

const versionHelp = `Print the version, its commit with the date, the version of Go that built it, and the platform.

usage: logger version [-o text|json]
`

// record returns Go's record of this build, nil if there is none.
func record() *debug.BuildInfo {
	info, _ := debug.ReadBuildInfo()
	return info
}

// setVersion sets the version of a program that "go install ...@v1.2.3" made, which stamps nothing.
func setVersion(info *debug.BuildInfo) {
	if version == "dev" && info != nil && release.MatchString(info.Main.Version) {
		version = info.Main.Version
	}
}

// built holds what "logger version" prints. It leaves out what is not known of the commit.
type built struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (b built) String() string {
	text := "logger " + b.Version
	if b.Commit != "" {
		text += " " + b.Commit
	}
	if b.Date != "" {
		text += " " + b.Date
	}
	return text + " " + b.Go + " " + b.Platform
}

// thisBuild returns what is known of this program. The info is Go's record of the build, or nil.
func thisBuild(info *debug.BuildInfo) built {
	b := built{version, commit, date, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if b.Commit != "" || info == nil {
		return b
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.time":
			b.Date = s.Value
		case s.Key == "vcs.modified" && s.Value == "true": // comes last
			b.Commit += "-dirty"
		}
	}
	return b
}

// printVersion prints which build this is.
func printVersion(args []string, stdout, stderr io.Writer) int {
	format, err := parseFormat(args, "this command takes no arguments")
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger version:", err)
		return cli.ExitUsage
	}
	if b := thisBuild(record()); format == "json" {
		err = printJSON(stdout, b)
	} else {
		_, err = fmt.Fprintln(stdout, b)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return cli.ExitError
	}
	return cli.ExitOK
}

// parseFormat returns how a command prints, text or json, by its one flag -o. An argument is
// refused with what is accepted.
func parseFormat(args []string, accepted string) (format string, err error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is one line
	flags.StringVar(&format, "o", "text", "text or json")
	err = flags.Parse(args)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("%q: %s", flags.Arg(0), accepted)
	case format != "text" && format != "json":
		err = fmt.Errorf("-o %q: want text or json", format)
	}
	return format, err
}
