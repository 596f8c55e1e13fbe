package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Survey asks every installed plugin what it is, and so knows which plugin each secret belongs to.
// Make it with [NewSurvey], run it once with [Survey.Run].
type Survey struct {
	catalog *Catalog
	opts    Options
	done    chan struct{} // closed by Run, once the rest is set
	found   []Installed
	owners  map[string][]string // by variable: the plugins that declare it secret
}

// Installed holds what is known of one installed plugin.
type Installed struct {
	Executable
	// Checksum is one of the states that [Trust.Inspect] returns.
	Checksum string
	// Description is what the plugin says of itself, as far as it could be asked.
	Description sdk.Description
	// Protocol is the version of the contract that it speaks, 0 if it did not shake hands.
	Protocol int
	// Err says in one line why the plugin would not run.
	Err error
}

// surveyTime bounds how long one plugin may take to say what it is.
const surveyTime = 5 * time.Second

// NewSurvey makes a survey of the catalog; nothing runs yet. From the options it takes how to
// launch a plugin, and the Logger, to which it reports plugins that cannot be asked.
func NewSurvey(c *Catalog, o Options) *Survey {
	o.StartTimeout = min(o.StartTimeout, surveyTime)
	return &Survey{catalog: c, opts: o, done: make(chan struct{}), owners: map[string][]string{}}
}

// Run asks the plugins one after the other, so that there is one private copy at a time. It
// configures none, and launches none that Trust refuses. It fails only with ctx's error; then
// nothing counts as known.
func (s *Survey) Run(ctx context.Context) error {
	for _, exe := range append(s.catalog.List(sdk.StorageKind), s.catalog.List(sdk.AggregatorKind)...) {
		p := s.ask(ctx, exe)
		if err := ctx.Err(); err != nil {
			return err
		}
		s.found = append(s.found, p)
		if p.Err != nil {
			s.opts.Logger.Warn("an installed plugin cannot be asked which of its settings are secret", "plugin", exe.String(), "reason", p.Err)
			continue
		}
		for _, setting := range p.Description.Settings {
			if owners := s.owners[setting.Env]; setting.Secret && !slices.Contains(owners, exe.String()) {
				s.owners[setting.Env] = append(owners, exe.String())
			}
		}
	}
	close(s.done)
	return nil
}

func (s *Survey) ask(ctx context.Context, exe Executable) Installed {
	p := Installed{Executable: exe}
	if p.Checksum, p.Err = s.opts.Trust.Inspect(exe); p.Err != nil {
		return p
	}
	o := s.opts
	o.Executable, o.Logger = exe, hclog.NewNullLogger()
	p.Description, p.Protocol, p.Err = Describe(ctx, o)
	return p
}

// Found lists the installed plugins once [Survey.Run] returned nil: storages first, each kind
// by name.
func (s *Survey) Found() []Installed { return s.found }

// wait returns once all plugins were asked. The nil Survey has nothing to ask.
func (s *Survey) wait(ctx context.Context) error {
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the installed plugins were not asked in time which settings are secret: %w", ctx.Err())
	}
}

// Refuse refuses a setting of the plugin that is another's secret, with an error that wraps
// [sdk.ErrInvalid]. A secret of several plugins is given to none of them. The nil Survey knows only
// the reserved variables. Refuse is for use after [Survey.Run] has returned nil.
func (s *Survey) Refuse(setting sdk.Setting, exe Executable) error {
	// A secret and the file with it are one secret: see [Given].
	for _, env := range []string{setting.Env, setting.Env + fileSuffix, strings.TrimSuffix(setting.Env, fileSuffix)} {
		what := "which"
		if env != setting.Env {
			what = "and " + env
		}
		of, ok := reserved[env]
		if ok && of != "plugin "+exe.String() {
			return sdk.Refusef("plugin %s declares %s, %s is for %s alone", exe, setting.Env, what, of)
		}
		if ok || s == nil {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(s.owners[env]), func(owner string) bool { return owner == exe.String() })
		if len(others) > 0 {
			return sdk.Refusef("plugin %s declares %s, %s is a secret of plugin %s: want another name, or only one of these plugins in LOGGER_PLUGIN_PATH",
				exe, setting.Env, what, strings.Join(others, " and "))
		}
	}
	return nil
}

// hideSecrets marks a variable as secret in all its declarations if one of them does.
func hideSecrets(settings []sdk.Setting) {
	for i := range settings {
		settings[i].Secret = slices.ContainsFunc(settings, func(s sdk.Setting) bool { return s.Secret && s.Env == settings[i].Env })
	}
}
