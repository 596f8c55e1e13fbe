package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// ownEnvironment advises what to do when this environment differs from the logger's.
const ownEnvironment = "Run this with the environment of the logger: in its own container (kubectl exec -c), not beside it"

// kinds lists the kinds of plugins, in the order of their hops.
var kinds = []sdk.Kind{sdk.AggregatorKind, sdk.StorageKind}

// unusable tells that this environment has no such plugin, or refuses it. If the running logger can
// use the plugin, that is not the logger's trouble.
func (d *doctor) unusable(kind sdk.Kind, f Finding) {
	f.Hop, f.Status = kind.String()+" plugin", Fail
	if running, ok := d.logger.plugin(kind); ok && running.State.Serving() {
		d.foreign[kind] = []string{f.Culprit}
		f = Finding{Hop: f.Hop, Status: Unknown, Seen: "it cannot be used here, and the running logger's serves: " + f.Culprit}
	}
	d.add(f)
}

// untriable tells that a plugin could not be launched here. If a logger runs that plugin all the
// same, or if only this place has no process to spare, then the logger's own word counts and the
// other hops are examined.
func (d *doctor) untriable(kind sdk.Kind, f Finding, err error) {
	f.Hop, f.Status = kind.String()+" plugin", Fail
	running, ok := d.logger.plugin(kind)
	if !ok || !running.State.Serving() && !errors.Is(err, plugin.ErrNotStarted) {
		d.add(f)
		return
	}
	d.warn(f.Hop, "it could not be tried here: %v; the running logger's is %s", err, running.State)
	d.untried = append(d.untried, kind)
}

// assume sets the most likely settings of a plugin that was not asked.
func (d *doctor) assume(kind sdk.Kind, name string) {
	if kind != sdk.AggregatorKind || name != "nsq" {
		d.compareGiven(kind)
		return
	}
	for _, s := range nsqSettings {
		d.settings[s.Env], _ = plugin.Value(s, d.lookup)
	}
	d.compare(kind, nsqSettings)
}

// nsqSettings lists the settings of the bundled aggregator that tell where the queue is.
var nsqSettings = []sdk.Setting{
	{Env: "DEIS_NSQD_SERVICE_HOST", Type: sdk.StringSetting},
	{Env: "DEIS_NSQD_SERVICE_PORT_TRANSPORT", Type: sdk.StringSetting, Default: "4150"},
	{Env: "DEIS_NSQD_SERVICE_PORT_HTTP", Type: sdk.StringSetting, Default: "4151"},
	{Env: "NSQ_NSQD_ADDRS", Type: sdk.StringSetting},
	{Env: "NSQ_LOOKUPD_ADDRS", Type: sdk.StringSetting},
	{Env: "NSQ_TOPIC", Type: sdk.StringSetting, Default: "logs"},
	{Env: "NSQ_CHANNEL", Type: sdk.StringSetting, Default: "consume"},
	{Env: "NSQ_TLS", Type: sdk.StringSetting, Default: "false"},
}

// compare notes the settings that differ between this environment and the running logger's plugin
// of that kind. The logger tells only fingerprints of values, and nothing of secrets.
func (d *doctor) compare(kind sdk.Kind, settings []sdk.Setting) {
	running, _ := d.logger.plugin(kind)
	for _, s := range settings {
		theirs, told := running.Settings[s.Env]
		value, err := plugin.Value(s, d.lookup)
		if s.Secret || !told || err != nil || same(s.Env, value, theirs) {
			continue
		}
		here := "not set here"
		if d.given(s.Env) != "" {
			here = fmt.Sprintf("here %.80q", plugin.MaskUserinfo(value))
		}
		d.foreign[kind] = append(d.foreign[kind], fmt.Sprintf("%s (%s)", s.Env, here))
	}
}

// loopback lists the names of this host, which is the default of each bundled plugin.
var loopback = []string{"", "localhost", "127.0.0.1"}

// same reports whether the fingerprint fits the value, or another name of the same host.
func same(env, value, theirs string) bool {
	if plugin.Fingerprint(env, value) == theirs {
		return true
	}
	return strings.HasSuffix(env, "_SERVICE_HOST") && slices.Contains(loopback, value) &&
		slices.ContainsFunc(loopback, func(name string) bool { return plugin.Fingerprint(env, name) == theirs })
}

// compareGiven does what [doctor.compare] does for a plugin whose defaults are not known: a setting
// that is not set here may be the same.
func (d *doctor) compareGiven(kind sdk.Kind) {
	running, _ := d.logger.plugin(kind)
	for _, env := range slices.Sorted(maps.Keys(running.Settings)) {
		if value := d.given(env); value != "" && plugin.Fingerprint(env, value) != running.Settings[env] {
			d.foreign[kind] = append(d.foreign[kind], fmt.Sprintf("%s (here %.80q)", env, plugin.MaskUserinfo(value)))
		}
	}
}

// environment tells whether this environment is the running logger's.
func (d *doctor) environment() {
	told := slices.ContainsFunc(d.logger.plugins, func(p plugin.Status) bool { return p.Settings != nil })
	switch {
	case d.logger.err != nil:
		d.unknown(hopEnvironment, "no logger answers to compare it with")
	case len(d.foreign) > 0:
		d.elsewhere = true
		d.warn(hopEnvironment, "it is not the running logger's: %s. %s", d.differences(), ownEnvironment)
	case len(d.untried) > 0:
		d.unknown(hopEnvironment, "not all of it could be compared with the running logger's: see the plugins above")
	case !told:
		d.unknown(hopEnvironment, "the running logger does not tell its environment, so they cannot be compared")
	default:
		d.ok(hopEnvironment, "the running logger has the same settings (secrets are not compared)")
	}
}

// differences returns all noted differences in one line.
func (d *doctor) differences() string {
	var all []string
	for _, kind := range kinds {
		all = append(all, d.foreign[kind]...)
	}
	return strings.Join(all, ", ")
}

// otherwise names what may differ between this place and a logger whose plugin serves with the same
// settings.
func (d *doctor) otherwise(kind sdk.Kind) string {
	differ := "the network"
	if names := d.secretNames[kind]; len(names) > 0 {
		differ += " or a secret (" + strings.Join(names, ", ") + ")"
	}
	return differ + " must be another here. " + ownEnvironment
}

// servesThere reports whether the running logger's plugin of that kind is ready, although it is not
// when tried from here.
func (d *doctor) servesThere(ctx context.Context, kind sdk.Kind) bool {
	return d.differsThere(ctx, kind, func(p plugin.Status) bool { return p.State == plugin.Ready })
}

// ailsThere reports whether the running logger's storage fails too, but for another reason than
// here.
func (d *doctor) ailsThere(ctx context.Context, err error) bool {
	here := d.ailment(err.Error())
	return d.differsThere(ctx, sdk.StorageKind, func(p plugin.Status) bool {
		return p.State == plugin.Degraded && d.ailment(p.Reason) != here
	})
}

// ailment returns the part of a reason that is compared: for Redis the error's code, for other
// storages the text without its numbers. All reasons of Redis without a code are equal: a broken
// connection has many descriptions.
func (d *doctor) ailment(reason string) string {
	if d.host.StorageAdapter == "redis" {
		hint, _ := redisHint(reason)
		return hint.code
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, reason)
}

// differsThere reports whether so holds, and keeps holding, for the running logger's plugin. If the
// backend broke just now, the logger notices within a few checks; differsThere waits for them.
func (d *doctor) differsThere(ctx context.Context, kind sdk.Kind, so func(plugin.Status) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, HopTimeout)
	defer cancel()
	tick := time.NewTicker(HopTimeout / 12)
	defer tick.Stop()
	v := *d.logger
	for {
		if p, ok := v.plugin(kind); !ok || !so(p) {
			return false
		}
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
		if plugins, _, err := readiness(ctx, v.url); err == nil {
			v.plugins = plugins
		} else if ctx.Err() == nil {
			return false
		}
	}
}

// suspectEnvironment blames this environment for a backend that cannot be reached, if the
// environment has none of a logger's variables and there is no logger to compare it with.
func (d *doctor) suspectEnvironment() {
	if d.logger.err == nil {
		return
	}
	names := []string{"STORAGE_ADAPTER", "AGGREGATOR_TYPE"}
	for name := range d.settings {
		names = append(names, name)
	}
	for _, kind := range kinds {
		names = append(names, d.secretNames[kind]...)
	}
	if !slices.ContainsFunc(names, func(name string) bool { return d.given(name) != "" }) {
		d.blameEnvironment("none of the logger's variables is set here, and no logger answers: only defaults were looked at",
			ownEnvironment+"; or set LOGGER_URL to where the logger is")
	}
}

// blameEnvironment makes the environment, which was examined before, the culprit.
func (d *doctor) blameEnvironment(culprit, advice string) {
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Hop == hopEnvironment {
			f.Status, f.Culprit, f.Advice = Fail, d.clean(culprit), d.clean(advice)
			f.Seen, _, _ = strings.Cut(f.Seen, ": ") // the culprit has the rest
		}
	}
}
