package loki

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

// target tells where a log query finds its lines.
type target struct {
	query *logql.LogQuery
	push  logql.Pushdown
	// apps lists the only apps that the query can select; nil if they are not known.
	apps []string
	// none is set if no stream at all can pass.
	none bool
}

// aim returns what the query tells of the apps.
func aim(q *logql.LogQuery) target {
	t := target{query: q, push: q.Pushdown()}
	for _, values := range t.push.Values {
		t.none = t.none || len(values) == 0
	}
	for _, name := range []string{labelApp, labelServiceName} {
		if values, ok := t.push.Values[name]; ok && t.apps == nil {
			t.apps = slices.DeleteFunc(slices.Clone(values), func(app string) bool { return sdk.CheckApp(app) != nil || !t.takes(app) })
		}
	}
	return t
}

// takes reports whether the selector can select streams of the app.
func (t *target) takes(app string) bool {
	for _, m := range t.query.Matchers {
		if (m.Name == labelApp || m.Name == labelServiceName) && !m.Matches(app) {
			return false
		}
	}
	return true
}

// filter returns a filter by which the storage may leave lines out. The window from since to until
// is inclusive at both ends.
func (t *target) filter(since, until time.Time) sdk.Filter {
	f := sdk.Filter{Since: bounded(since), Until: bounded(until)}
	for name, to := range map[string]*[]string{labelProcess: &f.Process, labelRelease: &f.Release, labelPod: &f.Pod, labelStream: &f.Stream} {
		if values := t.push.Values[name]; !slices.Contains(values, "") {
			*to = values
		}
	}
	f.Source = sourcesOf(t.push.Values[labelSource])
	for _, name := range []string{labelLevel, labelDetectedLevel} {
		f.Level = max(f.Level, leastLevel(t.push.Values[name]))
	}
	for _, include := range t.push.Include {
		with := f
		with.Include = include
		if _, err := with.Compile(); err == nil {
			f = with
			break
		}
	}
	for _, exclude := range t.push.Exclude {
		with := f
		with.Exclude = append(slices.Clip(f.Exclude), exclude)
		if _, err := with.Compile(); err == nil {
			f = with
		}
	}
	return f
}

// bounded returns the time, limited to those that can be written as nanoseconds since 1970, which
// is how storages are asked.
func bounded(at time.Time) time.Time {
	switch first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64); {
	case at.IsZero():
	case at.Before(first):
		return first
	case at.After(last):
		return last
	}
	return at
}

// sourcesOf returns the sources with these names. It returns none if others count too.
func sourcesOf(values []string) (sources []sdk.Source) {
	for _, value := range values {
		switch value {
		case sdk.SourceApp.String():
			sources = append(sources, sdk.SourceApp)
		case sdk.SourceController.String():
			sources = append(sources, sdk.SourceController)
		case "":
			return nil
		}
	}
	return sources
}

// leastLevel returns the least level with one of these names, or LevelUnknown if there is none.
func leastLevel(values []string) sdk.Level {
	least := sdk.LevelUnknown
	for _, value := range values {
		if value == "" || value == sdk.LevelUnknown.String() {
			return sdk.LevelUnknown
		}
		if l, err := sdk.ParseLevel(value); err == nil && (least == sdk.LevelUnknown || l < least) {
			least = l
		}
	}
	return least
}

// appsOf lists the apps that may have lines for the target, at or after since.
func (a *API) appsOf(ctx context.Context, t *target, since time.Time) ([]string, error) {
	if t.none || t.apps != nil {
		return t.apps, nil
	}
	infos, err := a.appInfos(ctx, t, since)
	apps := make([]string, len(infos))
	for i := range infos {
		apps[i] = infos[i].App
	}
	return apps, err
}

// zoneSkew bounds how far ahead a clock may be that takes its local time for UTC. An app is left
// out only if its newest line was published that long before the wanted lines.
const zoneSkew = 14 * time.Hour

// appInfos asks the storage for the apps that the target takes, and that may have lines at or after
// since.
func (a *API) appInfos(ctx context.Context, t *target, since time.Time) (infos []sdk.AppInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancel()
	return scan.Apps(ctx, a.opts.Storage, t.takes, since.Add(-zoneSkew))
}
