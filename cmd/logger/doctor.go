package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/deis/logger/cmd/logger/internal/cli"
	"github.com/deis/logger/host/doctor"
)

const doctorHelp = `Say why there are no lines: look at every hop from the configuration to the app, and name
the one that is broken.

usage: logger doctor [APP] [-o text|json]

It reads the environment that logger serve reads, so run it in the logger's container; it
says so where the running logger has another. It changes nothing. Each hop takes at most
3 s.

  LOGGER_URL               where the logger is, if not at LOGGER_LISTEN_ADDR
  LOGGER_TOKEN_FILE        file with a bearer token, if the logger asks for one
  LOGGER_DOCTOR_NSQD_HTTP  host:port of nsqd's HTTP side, of several with commas between;
                           default: DEIS_NSQD_SERVICE_PORT_HTTP (4151) of each nsqd,
                           or as nsqlookupd says

exit codes: 0 nothing is broken, 1 something is, 2 a mistake in the command
`

// examine runs the command "doctor".
func examine(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var format string
	for _, name := range []string{"o", "output"} {
		flags.StringVar(&format, name, "text", "text or json")
	}
	var apps []string
	for rest := args; ; { // flags may stand behind the app
		if err := flags.Parse(rest); err != nil {
			_, _ = fmt.Fprintln(stderr, "logger doctor:", err)
			return cli.ExitUsage
		}
		if flags.NArg() == 0 {
			break
		}
		apps, rest = append(apps, flags.Arg(0)), flags.Args()[1:]
	}
	if len(apps) > 1 || format != "text" && format != "json" {
		_, _ = fmt.Fprintln(stderr, "logger doctor: want one app at most, and -o text or -o json")
		return cli.ExitUsage
	}
	o := doctor.Options{Lookup: os.LookupEnv, Nearest: cli.Nearest}
	if len(apps) == 1 {
		o.App = apps[0]
	}
	report := doctor.Examine(ctx, o)
	var err error
	if format == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger doctor:", err)
		return cli.ExitError
	}
	if !report.Healthy {
		return cli.ExitError
	}
	return cli.ExitOK
}
