package cli

import (
	"context"
	"strings"

	"github.com/deis/logger/client"
)

// forOneApp has the flags that work for one app only, as the help names them.
var forOneApp = map[string]string{
	"after-context": "-A, --after-context", "before-context": "-B, --before-context", "context": "-C, --context", "group": "--group", "fields": "--fields",
}

// apps reads the apps from the remaining arguments: one by its name, or several by names and
// patterns.
func (f *tailFlags) apps() (app string, several []string, err error) {
	args := f.fs.Args()
	if f.all || len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "*") {
		for flag, typed := range forOneApp {
			if f.fs.Changed(flag) {
				return "", nil, usagef("%s is for one app: leave it out, or name a single app", typed)
			}
		}
	}
	switch {
	case f.all && len(args) > 0:
		return "", nil, usagef("--all is all apps: leave out %s", quoted(args))
	case f.all:
		return "", []string{"*"}, nil
	case len(args) == 0 || len(args) == 1 && !strings.Contains(args[0], "*"):
		app, err = oneApp("tail", f.fs)
		return app, nil, err
	}
	for _, name := range args {
		if !client.ValidPattern(name) {
			return "", nil, usagef("app %q: want letters, digits, '-', '_' or '.', and * for any of them", name)
		}
	}
	return "", args, nil
}

// named returns the user's words for the apps, as a shell takes them.
func (t *tailer) named() string {
	if t.apps == nil {
		return t.app
	}
	names := make([]string, len(t.apps))
	for i, name := range t.apps {
		if names[i] = name; strings.Contains(name, "*") {
			names[i] = "'" + name + "'"
		}
	}
	return strings.Join(names, " ")
}

// logs asks for what is kept.
func (t *tailer) logs(ctx context.Context) (*client.Stream, error) {
	if t.apps != nil {
		return t.api.LogsOfApps(ctx, t.apps, t.query)
	}
	return t.api.Logs(ctx, t.app, t.query)
}

// mostAsked is how many names tellUnknown checks at most.
const mostAsked = 8

// tellUnknown says which of several names no app has yet. The other apps are shown.
func (t *tailer) tellUnknown(ctx context.Context) {
	if t.query.After != "" {
		return // they were told when this began
	}
	left := mostAsked
	for _, name := range t.apps {
		if strings.Contains(name, "*") || left == 0 {
			continue
		}
		left--
		if _, err := t.api.App(ctx, name); client.HasCode(err, client.CodeAppUnknown) {
			t.out.notice("%v", noApp(ctx, t.api, name))
		}
	}
}
