package loki

import (
	"strings"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/sdk"
)

// The labels of a stream. A stream lacks labels that its lines do not state, except that
// detected_level is then "unknown". level and detected_level are the same, and so are app and
// service_name: clients ask for either.
const (
	labelApp           = "app"
	labelContainer     = "container"
	labelDetectedLevel = "detected_level"
	labelHost          = "host"
	labelLevel         = "level"
	labelPod           = "pod"
	labelProcess       = "process"
	labelRelease       = "release"
	labelServiceName   = "service_name"
	labelSource        = "source"
	labelStream        = "stream"
)

// stream holds the labels that some lines of an app share.
type stream struct {
	labels   logql.Labels
	selected bool
	lines    uint64 // lines seen so far
}

// streamKey tells the streams of an app apart.
type streamKey struct {
	process, release, pod, container, host, stream string
	source                                         sdk.Source
	level                                          sdk.Level
}

// streams holds the streams of one app.
type streams struct {
	app     string
	selects func(logql.Labels) bool
	known   map[streamKey]*stream
	last    *stream
	lastKey streamKey
}

func newStreams(app string, selects func(logql.Labels) bool) *streams {
	return &streams{app: app, selects: selects, known: map[streamKey]*stream{}}
}

// of returns the entry's stream.
func (s *streams) of(e *sdk.Entry) *stream {
	k := streamKey{e.Process, e.Release, e.Pod, e.Container, e.Host, e.Stream, e.Source, e.Level}
	if s.last != nil && s.lastKey == k {
		return s.last
	}
	of := s.known[k]
	if of == nil {
		k = k.clone() // a string of an entry keeps its whole page alive
		labels := k.labels(s.app)
		of = &stream{labels: labels, selected: s.selects(labels)}
		s.known[k] = of
	}
	s.last, s.lastKey = of, k
	return of
}

func (k streamKey) clone() streamKey {
	for _, text := range []*string{&k.process, &k.release, &k.pod, &k.container, &k.host, &k.stream} {
		*text = strings.Clone(*text)
	}
	return k
}

// labels returns the labels, sorted by name.
func (k streamKey) labels(app string) logql.Labels {
	source, level := "", ""
	if k.source != sdk.SourceUnknown {
		source = k.source.String()
	}
	if k.level != sdk.LevelUnknown {
		level = k.level.String()
	}
	labels := make(logql.Labels, 0, 11)
	for _, l := range [...]logql.Label{
		{Name: labelApp, Value: app},
		{Name: labelContainer, Value: k.container},
		{Name: labelDetectedLevel, Value: k.level.String()},
		{Name: labelHost, Value: k.host},
		{Name: labelLevel, Value: level},
		{Name: labelPod, Value: k.pod},
		{Name: labelProcess, Value: k.process},
		{Name: labelRelease, Value: k.release},
		{Name: labelServiceName, Value: app},
		{Name: labelSource, Value: source},
		{Name: labelStream, Value: k.stream},
	} {
		if l.Value != "" {
			labels = append(labels, l)
		}
	}
	return labels
}
