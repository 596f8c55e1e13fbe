package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/deis/logger/client"
	"github.com/deis/logger/cmd/logger/internal/render"
)

// tailer runs the command "tail" once.
type tailer struct {
	api     *client.Client
	app     string
	apps    []string // names and patterns of several; nil for the one app
	called  string   // the program
	flags   *tailFlags
	query   client.Query
	printer *render.Printer
	out     *output
	line    []byte // the newest line printed, for its room
	printed int
	unknown bool // the app had no log when it was asked for
}

func tail(ctx context.Context, s *System, args []string) error {
	f := &tailFlags{}
	fs := f.set()
	if err := parse(fs, args, foreignFlags); err != nil {
		return err
	}
	app, apps, err := f.apps()
	if err != nil {
		return err
	}
	query, err := f.query()
	if err != nil {
		return err
	}
	options, err := f.render(s, app)
	if err != nil {
		return err
	}
	api, err := f.client(s)
	if err != nil {
		return err
	}
	defer api.Close()
	t := &tailer{api: api, app: app, apps: apps, called: s.called(), flags: f, query: query, printer: render.New(options)}
	t.out = newOutput(s, f.quiet, s.ErrTerminal && s.colour(f.color, s.ErrTerminal))
	t.out.limit = max(0, f.limitBytes)
	t.tellUnknown(ctx)
	if f.follow {
		err = t.follow(ctx)
	} else {
		err = t.print(ctx)
	}
	if flushed := t.out.flush(); err == nil || errors.Is(err, errEnough) {
		err = flushed
	}
	return err
}

// print prints what is kept and ends.
func (t *tailer) print(ctx context.Context) error {
	stream, err := t.logs(ctx)
	if err != nil {
		return t.explain(ctx, err)
	}
	defer func() { _ = stream.Close() }()
	for {
		if stream.Waiting() {
			if err := t.out.flush(); err != nil {
				return err
			}
		}
		r, err := stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			t.none()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("%w (%d lines came)", err, t.printed)
		case r.Kind == client.KindHeartbeat:
		default:
			if err := t.handle(r); err != nil {
				return err
			}
		}
	}
}

// follow prints what is kept and what comes.
func (t *tailer) follow(ctx context.Context) error {
	options := client.FollowOptions{
		Handle:      t.handle,
		Idle:        t.out.flush,
		Notice:      func(e client.Event) { t.notice(ctx, e) },
		NoReconnect: t.flags.noReconnect,
	}
	var cursor string
	var err error
	if t.apps != nil {
		cursor, err = t.api.FollowApps(ctx, t.apps, t.query, options)
	} else {
		cursor, err = t.api.Follow(ctx, t.app, t.query, options)
	}
	message, _ := explain(err)
	if err != nil && (message != "" || errors.As(err, &Stopped{})) && cursor != "" && (t.printed > 0 || cursor != t.query.After) {
		t.out.notice("to go on from here: %s tail %s -f%s --resume %s", t.called, t.named(), t.flags.choosing(), cursor)
	}
	return t.explain(ctx, err)
}

func (t *tailer) handle(r client.Record) error {
	if r.Kind == client.KindGap {
		t.out.notice("%s", gapNotice(r))
		if t.flags.output != "json" {
			return nil
		}
	} else {
		t.printed++
	}
	line, err := t.printer.Append(t.line[:0], &r)
	if err != nil {
		return err
	}
	t.line = line
	return t.out.write(line)
}

// gapNotice says how many lines are missing, and why.
func gapNotice(r client.Record) string {
	count, lines := fmt.Sprint(r.Count), "lines are"
	if r.Count == 1 {
		lines = "line is"
	}
	switch {
	case !r.Exact && r.Count == 0:
		count = "some"
	case !r.Exact:
		count = "at least " + count
	}
	why := map[string]string{
		"evicted": "newer lines had pushed them out",
		"slow":    "this reader was too slow for them",
		"deleted": "the log was deleted",
		"lost":    "the storage lost them",
	}[r.Reason]
	if why == "" {
		why = render.Clean(r.Reason, false)
	}
	if r.App != "" {
		count = render.Clean(r.App, false) + ": " + count
	}
	return fmt.Sprintf("--- %s %s missing here: %s", count, lines, why)
}

// none prints that there was nothing to print.
func (t *tailer) none() {
	switch {
	case t.printed > 0 || t.query.Lines == 0:
	case t.flags.chosen(t.query):
		t.out.notice("no line of %s matches", t.named())
	case t.apps != nil:
		t.out.notice("no lines yet of %s", t.named())
	default:
		t.out.notice("no lines yet: %s is known, but nothing is kept of it", t.app)
	}
}

// waits prints that nothing was printed so far, and what tail waits for.
func (t *tailer) waits() {
	switch {
	case t.printed > 0 || t.query.Lines == 0 || t.unknown:
	case t.flags.chosen(t.query):
		t.out.notice("no line of %s matches so far; waiting for one that does, Ctrl-C ends", t.named())
	case t.apps != nil:
		t.out.notice("no lines yet of %s; waiting for the next, Ctrl-C ends", t.named())
	default:
		t.out.notice("no lines yet: %s is known, but nothing is kept of it; waiting for the next, Ctrl-C ends", t.app)
	}
}

func (t *tailer) notice(ctx context.Context, e client.Event) {
	switch e.Kind {
	case client.EventNoApp:
		t.unknown = true
		t.out.notice("%v; waiting for its first line, Ctrl-C ends", t.noApp(ctx))
	case client.EventLive:
		t.waits()
	case client.EventNotReady:
		message, _ := explain(e.Err)
		t.out.notice("%s; trying again until it is", message)
	case client.EventLost:
		message, _ := explain(e.Err)
		t.out.notice("--- %s; connecting again", message)
	case client.EventBack:
		t.out.notice("--- connected again after %s", e.Down.Round(100*time.Millisecond))
	}
}

// explain adds a suggestion to an error that says that the app is not known.
func (t *tailer) explain(ctx context.Context, err error) error {
	if client.HasCode(err, client.CodeAppUnknown) {
		return t.noApp(ctx)
	}
	return err
}

func (t *tailer) noApp(ctx context.Context) error {
	if t.apps != nil {
		return noAppError{several: t.named()}
	}
	return noApp(ctx, t.api, t.app)
}

// suggestTimeout is how long a user waits for a suggestion.
const suggestTimeout = 2 * time.Second

// noApp returns the error that an app has no log, with the app that may have been meant.
func noApp(ctx context.Context, api *client.Client, app string) error {
	ctx, cancel := context.WithTimeout(ctx, suggestTimeout)
	defer cancel()
	known, err := api.Apps(ctx)
	if err != nil {
		return noAppError{app: app} // a suggestion is not worth an error
	}
	names := make([]string, 0, len(known))
	for _, a := range known {
		if client.ValidApp(a.Name) && a.Name != app {
			names = append(names, a.Name)
		}
	}
	return noAppError{app: app, nearest: Nearest(app, names)}
}
