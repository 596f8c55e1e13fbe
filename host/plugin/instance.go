package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
)

// Instance holds one running plugin process, configured and connected.
type Instance struct {
	// Conn carries the plugin's calls. It fails once the process, or its connection, is gone.
	Conn *grpc.ClientConn
	// Description is what the plugin says of itself.
	Description sdk.Description
	// Capabilities says which optional calls it has.
	Capabilities sdk.Capabilities
	// Protocol is the version of the contract that it speaks with this host.
	Protocol int
	// PID is its process id; 0 if it runs elsewhere.
	PID int
	// Settings has fingerprints of the settings that it was given. Nobody changes it.
	Settings map[string]string

	level  hclog.Level // what it was told to log
	plugin *sdk.PluginClient
	life   life
}

// life keeps an instance alive: it is a process of ours, or a connection to one that is not.
type life interface {
	// connect makes the plugin callable, and sets what the instance has to know of it.
	connect(ctx context.Context, o *Options, inst *Instance) error
	// gone returns a channel that is closed when the life has ended, and how says how it ended.
	gone() <-chan struct{}
	how() string
	// look is called beside each check. If it fails, the instance is ended.
	look(o *Options) error
	// explain adds to the error of a failed start what is known of the cause.
	explain(err error) error
	// patient reports whether an instance that does not answer is left alone.
	patient() bool
	// end lets go of it, in an orderly way if patience is positive. It is called once.
	end(inst *Instance, patience time.Duration)
}

// Gone returns a channel that is closed when the process, or the connection to it, is gone.
func (i *Instance) Gone() <-chan struct{} { return i.life.gone() }

// refusedError says that a plugin or its settings are refused: another attempt would be no better.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// ErrNotStarted is the error of a plugin whose process was never started: there is no room for its
// private copy, say, or it cannot be executed. It says more about this machine than about the
// plugin.
var ErrNotStarted = errors.New("the plugin's process was not started")

// notStartedError wraps [ErrNotStarted], and says in its own words why there is no process.
type notStartedError struct{ err error }

func (e *notStartedError) Error() string   { return e.err.Error() }
func (e *notStartedError) Unwrap() []error { return []error{ErrNotStarted, e.err} }

// launch starts the executable, and makes it ready to be called. It calls validated between the
// check of the settings and their use.
func launch(ctx context.Context, o *Options, validated func(context.Context, error)) (*Instance, error) {
	return start(ctx, o, func(ctx context.Context, inst *Instance, values map[string]string) error {
		validated(ctx, nil)
		return inst.configure(ctx, o, sdk.Configuration{Values: values})
	})
}

// look starts the executable for a look at it. It configures only a plugin that is inspectable.
func look(ctx context.Context, o *Options) (*Instance, error) {
	return start(ctx, o, func(ctx context.Context, inst *Instance, values map[string]string) error {
		if !inst.Description.Inspectable || o.Attachment != nil { // that one is open for others, or not yet
			return nil
		}
		return inst.configure(ctx, o, sdk.Configuration{Values: values, Inspect: true})
	})
}

// start starts the executable, and calls open with its settings. If it fails, it closes whatever
// was opened. Every attempt makes everything anew: go-plugin's clients cannot be started twice.
func start(
	ctx context.Context, o *Options, open func(ctx context.Context, inst *Instance, values map[string]string) error,
) (_ *Instance, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	inst, err := prepare(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = inst.life.explain(err)
			inst.life.end(inst, 0)
		}
	}()
	if err := inst.identify(ctx, o); err != nil {
		return nil, err
	}
	if err := o.Survey.wait(ctx); err != nil {
		return nil, err
	}
	values, err := inst.values(o)
	if err != nil {
		return nil, err
	}
	return inst, open(ctx, inst, values)
}

// Describe launches the executable to ask what it is, and ends it again. It does not configure the
// plugin, so the plugin opens nothing. It takes no longer than the options' StartTimeout and the
// time to end a process.
func Describe(ctx context.Context, o Options) (d sdk.Description, protocol int, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	inst, err := prepare(&o)
	if err != nil {
		return d, 0, err
	}
	if err := inst.identify(ctx, &o); err != nil {
		err = inst.life.explain(err)
		inst.life.end(inst, 0)
		return inst.Description, inst.Protocol, err
	}
	inst.life.end(inst, o.StopTimeout)
	return inst.Description, inst.Protocol, nil
}

// prepare makes what one attempt needs; nothing runs yet.
func prepare(o *Options) (*Instance, error) {
	if o.Attachment != nil {
		return &Instance{life: &attached{to: *o.Attachment}}, nil
	}
	l, err := prepareLaunch(o)
	if err != nil {
		return nil, err
	}
	return &Instance{life: l}, nil
}

// protocolError says that a plugin is too old or too new for this host.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

// versions lists version numbers for a person.
func versions(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " and ")
}

// identify connects to the plugin and asks it what it is.
func (i *Instance) identify(ctx context.Context, o *Options) (err error) {
	if err := i.life.connect(ctx, o, i); err != nil {
		return err
	}
	i.plugin = sdk.NewPluginClient(i.Conn)
	i.Description, err = i.plugin.Describe(ctx)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	hideSecrets(i.Description.Settings)
	exe, d := &o.Executable, i.Description
	exe.Kind, exe.Name = cmp.Or(exe.Kind, d.Kind), cmp.Or(exe.Name, d.Name)
	if d.Kind != exe.Kind || d.Name != exe.Name {
		return fmt.Errorf("%s is %s plugin %q, not %s plugin %q: %w", o.where(),
			d.Kind, d.Name, exe.Kind, exe.Name, sdk.ErrUnavailable)
	}
	return nil
}

// values returns the settings that the plugin declares. They are checked before it gets them.
func (i *Instance) values(o *Options) (map[string]string, error) {
	values := make(map[string]string, len(i.Description.Settings))
	for _, s := range i.Description.Settings {
		if err := o.Survey.Refuse(s, o.Executable); err != nil {
			return nil, &refusedError{err}
		}
		value, err := Value(s, o.Lookup)
		if err != nil {
			return nil, &refusedError{err}
		}
		values[s.Env] = value
	}
	i.Settings = fingerprints(i.Description.Settings, values)
	return values, nil
}

// configure hands over the settings, which opens the implementation.
func (i *Instance) configure(ctx context.Context, o *Options, conf sdk.Configuration) (err error) {
	if err := ctx.Err(); err != nil {
		return err // nothing is opened for a caller who is gone
	}
	i.level = o.Logger.GetLevel()
	conf.StateDir, conf.LogLevel = o.StateDir, i.level.String()
	i.Capabilities, err = i.plugin.Configure(ctx, conf)
	if errors.Is(err, sdk.ErrInvalid) {
		return &refusedError{err}
	}
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// followLevel tells the plugin when the host's log level has changed, so that it sends what is
// wanted and no more.
func (i *Instance) followLevel(ctx context.Context, o *Options) {
	level := o.Logger.GetLevel()
	if level == i.level {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.CheckTimeout)
	defer cancel()
	if err := i.plugin.SetLogLevel(ctx, level.String()); err != nil {
		o.Logger.Warn("the plugin does not change what it logs", "level", level.String(), "error", err)
	}
	i.level = level // one that cannot is not asked again and again
}
