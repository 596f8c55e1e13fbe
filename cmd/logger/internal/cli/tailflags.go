package cli

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
	"github.com/deis/logger/cmd/logger/internal/render"
)

// The defaults of flags of tail.
const (
	defaultLines    = 100
	defaultMaxWidth = 2000 // columns, on a terminal
)

// tailFlags holds the flags of tail.
type tailFlags struct {
	connection
	fs *pflag.FlagSet

	follow, noReconnect bool
	all                 bool
	lines               int
	since, until        client.Moment
	resume              string
	limitBytes          int64

	processes, pods, releases, sources, streams []string
	level                                       string
	include, exclude, highlight                 []string
	around, before, behind                      int // lines of context
	group                                       bool
	fields                                      []string

	output, template, color        string
	timezone                       *time.Location
	timestamps, prefix, raw, quiet bool
	maxWidth                       int
}

// The words that some flags take.
var (
	outputWords = []string{"default", "pretty", "raw", "json", "logfmt"}
	colorWords  = []string{"auto", "always", "never"}
	sourceWords = []string{"app", "controller"}
	streamWords = []string{"stdout", "stderr"}
	levelWords  = []string{"trace", "debug", "info", "warn", "error", "fatal"}
)

func (f *tailFlags) set() *pflag.FlagSet {
	fs := newFlags("tail")
	f.fs = fs
	f.lines, f.output, f.color = defaultLines, "default", "auto"
	fs.BoolVar(&f.all, "all", false, "the lines of all apps")
	fs.BoolVarP(&f.follow, "follow", "f", false, "go on with new lines as they come")
	fs.VarP(lines{&f.lines}, "lines", "n", "number of newest lines, -1 for all")
	fs.Var(lines{&f.lines}, "tail", "number of newest lines (-f is what follows)")
	fs.Var(moment{&f.since}, "since", "lines since then")
	fs.Var(moment{&f.since}, "since-time", "lines since then")
	fs.Var(moment{&f.until}, "until", "lines until then")
	fs.StringVar(&f.resume, "resume", "", "lines after this cursor")
	fs.Int64Var(&f.limitBytes, "limit-bytes", 0, "end after so many bytes")
	fs.BoolVar(&f.noReconnect, "no-reconnect", false, "end where the connection does")

	fs.StringSliceVarP(&f.processes, "process", "p", nil, "process types, such as web")
	fs.StringSliceVar(&f.pods, "pod", nil, "names of pods")
	fs.StringSliceVar(&f.releases, "release", nil, "releases, such as v3")
	fs.StringSliceVar(&f.sources, "source", nil, "app or controller")
	fs.StringSliceVar(&f.streams, "stream", nil, "stdout or stderr")
	fs.Var(choice{&f.level, levelWords}, "level", "that level and above")
	fs.StringArrayVarP(&f.include, "include", "i", nil, "only messages that match")
	fs.StringArrayVarP(&f.exclude, "exclude", "e", nil, "no messages that match")
	fs.VarP(contextLines{&f.behind}, "after-context", "A", "so many lines after each match")
	fs.VarP(contextLines{&f.before}, "before-context", "B", "so many lines before each match")
	fs.VarP(contextLines{&f.around}, "context", "C", "so many lines around each match")
	fs.BoolVar(&f.group, "group", false, "stack traces as one line")

	fs.VarP(choice{&f.output, outputWords}, "output", "o", "default, pretty, raw, json or logfmt")
	fs.StringSliceVar(&f.fields, "fields", nil, "members of JSON messages to show")
	fs.Var(zone{&f.timezone}, "timezone", "where times are shown")
	fs.StringVar(&f.template, "template", "", "Go template for each line")
	fs.BoolVarP(&f.timestamps, "timestamps", "t", false, "each line's own time before it")
	fs.BoolVar(&f.prefix, "prefix", true, "where each line comes from before it")
	fs.StringArrayVarP(&f.highlight, "highlight", "H", nil, "mark what matches")
	fs.Var(choice{&f.color, colorWords}, "color", "auto, always or never")
	fs.IntVar(&f.maxWidth, "max-width", -1, "most columns of a line, 0 for any")
	fs.BoolVar(&f.raw, "raw", false, "keep control sequences")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no notices on stderr")
	f.add(fs)
	return fs
}

// foreignFlags has flags that are known from other programs and have another name here.
var foreignFlags = map[string]string{ //nolint:gosec // it holds no token
	"c":                   "choose a process type with -p, --process",
	"container":           "choose a process type with -p, --process",
	"all-containers":      "lines of all of an app's processes come unless -p, --process chooses",
	"all-pods":            "lines of all of an app's pods come unless --pod chooses",
	"previous":            "lines of pods that ended are kept; --pod or --release chooses them",
	"l":                   "choose with -p, --process, --release or --pod",
	"selector":            "choose with -p, --process, --release or --pod",
	"namespace":           "the app's name says it all",
	"ignore-errors":       "a tail goes on after errors unless --no-reconnect says otherwise",
	"num":                 "it is -n, --lines here",
	"dyno":                "it is -p, --process here",
	"ps":                  "it is -p, --process here",
	"dyno-name":           "it is -p, --process here",
	"details":             "-o json shows all that is known of a line",
	"no-follow":           "without -f, tail prints and ends",
	"colour":              "it is --color",
	"no-color":            "it is --color=never, or the variable NO_COLOR",
	"s":                   "it is --since or --source here",
	"format":              "it is -o, --output or --template here",
	"url":                 "it is --server here",
	"token":               "a token on a command line can be read by others; --token-file names a file with it",
	"token_file":          "it is --token-file",
	"timestamp":           "it is -t, --timestamps",
	"grep":                "it is -i, --include here",
	"severity":            "it is --level here",
	"log-level":           "it is --level here",
	"max-log-requests":    "an app's pods come over one connection",
	"only-log-lines":      "it is -q, --quiet here",
	"container-state":     "choose a process type with -p, --process",
	"exclude-container":   "choose process types with -p, --process",
	"pod-running-timeout": "an app without lines is waited for with -f",
}

// query returns the query that the flags choose.
func (f *tailFlags) query() (client.Query, error) {
	q := client.Query{
		Lines: f.lines, After: f.resume, Since: f.since, Until: f.until,
		Include: f.include, Exclude: f.exclude, Process: f.processes, Pod: f.pods, Release: f.releases, Source: f.sources, Stream: f.streams,
		Level: client.Level(f.level), Group: f.group, Fields: f.fields,
		ContextBefore: f.around, ContextAfter: f.around,
		FewCursors: f.output != "json" && f.template == "", // which show them
	}
	if f.fs.Changed("before-context") {
		q.ContextBefore = f.before
	}
	if f.fs.Changed("after-context") {
		q.ContextAfter = f.behind
	}
	if f.fs.Changed("resume") && f.resume == "" {
		return q, usagef("--resume \"\": want a cursor, as told when a tail ended and in -o json")
	}
	if !f.fs.Changed("lines") && !f.fs.Changed("tail") && (f.resume != "" || !f.since.IsZero() || !f.until.IsZero()) {
		q.Lines = client.AllLines // a stretch of time or of the log is wanted as a whole
	}
	if f.fs.Changed("max-width") && f.maxWidth < 0 {
		return q, usagef("--max-width %d: want a number of columns, 0 for any", f.maxWidth)
	}
	if f.limitBytes < 0 {
		return q, usagef("--limit-bytes %d: want a number of bytes", f.limitBytes)
	}
	for name, c := range map[string]struct{ values, words []string }{"source": {f.sources, sourceWords}, "stream": {f.streams, streamWords}} {
		for i := range c.values {
			if err := (choice{&c.values[i], c.words}).Set(c.values[i]); err != nil {
				return q, usagef("--%s %q: %v", name, c.values[i], err)
			}
		}
	}
	if _, err := either("include", f.include); err != nil {
		return q, err
	}
	_, err := either("exclude", f.exclude)
	return q, err
}

// chosen reports whether only some of the lines are wanted.
func (f *tailFlags) chosen(q client.Query) bool {
	return q.After != "" || q.Level != "" || !q.Since.IsZero() || !q.Until.IsZero() ||
		len(q.Include)+len(q.Exclude)+len(q.Process)+len(q.Pod)+len(q.Release)+len(q.Source)+len(q.Stream) > 0
}

// choosing returns the given flags that choose lines, as a shell takes them. Without them, a
// resumed tail would show other lines.
func (f *tailFlags) choosing() string {
	var b strings.Builder
	f.fs.Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "process", "pod", "release", "source", "stream", "level", "include", "exclude", "after-context", "before-context", "context", "group":
			values := []string{flag.Value.String()}
			if list, ok := flag.Value.(pflag.SliceValue); ok {
				values = list.GetSlice()
			}
			for _, value := range values {
				_, _ = fmt.Fprintf(&b, " --%s='%s'", flag.Name, strings.ReplaceAll(value, "'", `'\''`)) // to a Builder
			}
		}
	})
	return b.String()
}

// either returns a regular expression that matches whatever one of several matches.
func either(flag string, expressions []string) (string, error) {
	for _, e := range expressions {
		if _, err := regexp.Compile(e); err != nil {
			return "", usagef("--%s %q: %v", flag, e, err)
		}
	}
	if len(expressions) < 2 {
		return strings.Join(expressions, ""), nil
	}
	return "(?:" + strings.Join(expressions, ")|(?:") + ")", nil
}

// render returns how lines are printed.
func (f *tailFlags) render(s *System, app string) (render.Options, error) {
	o := render.Options{
		App: app, Format: render.Format(f.output), Location: f.timezone, Timestamps: f.timestamps, KeepControls: f.raw,
		Colour: s.colour(f.color, s.OutTerminal), Indent: s.OutTerminal, MaxWidth: f.maxWidth,
	}
	if o.MaxWidth < 0 {
		o.MaxWidth = 0
		if s.OutTerminal {
			o.MaxWidth = defaultMaxWidth
		}
	}
	if !f.prefix && o.Format == render.Default {
		o.Format = render.Raw
	}
	if f.template != "" {
		if f.fs.Changed("output") {
			return o, usagef("--template and -o both say how lines look: one of the two")
		}
		t, err := render.ParseTemplate(f.template, o.Colour)
		if err != nil {
			return o, usagef("--template: %v", err)
		}
		o.Format, o.Template = render.Template, t
	}
	highlight, err := either("highlight", f.highlight)
	if err != nil {
		return o, err
	}
	if highlight != "" {
		if o.Format == render.JSON || o.Format == render.Logfmt || o.Format == render.Template || o.KeepControls {
			return o, usagef("-H, --highlight marks what the default, -o pretty and -o raw print: leave out --template, -o json, -o logfmt or --raw")
		}
		if o.Highlight, err = regexp.Compile(highlight); err != nil {
			return o, usagef("--highlight: %v", err)
		}
	}
	return o, nil
}

// colour reports whether to use colours on a stream.
func (s *System) colour(word string, terminal bool) bool {
	if word != "auto" {
		return word == "always"
	}
	return terminal && s.Env("NO_COLOR") == "" && s.Env("TERM") != "dumb"
}

// oneApp returns the name of the app in the remaining arguments.
func oneApp(command string, fs *pflag.FlagSet) (string, error) {
	switch args := fs.Args(); {
	case len(args) == 0:
		return "", usagef("which app? logger %s APP (logger apps lists those that have lines)", command)
	case len(args) > 1:
		return "", usagef("one app at a time: %s", quoted(args))
	case !client.ValidApp(args[0]):
		return "", usagef("app %q: want letters, digits, '-', '_' or '.', with a letter or digit at both ends", args[0])
	default:
		return args[0], nil
	}
}

func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(out, " ")
}
