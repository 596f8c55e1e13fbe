package pipeline

import (
	"github.com/deis/logger/host/level"
	"github.com/deis/logger/sdk"
)

// fields holds the parts of a record that matter. Names match exactly, since collectors that merge
// an app's own JSON into the record put "Log" or "TIME" beside these. If a name comes more than
// once, the last counts; but of texts the last that is not blank, of times the first that is
// usable, and of objects the members of each.
type fields struct {
	texts  [textKeys]value
	times  [timeKeys]value
	stream extent
	tag    byte      // 'P' of a piece of a line that goes on, 'F' of a line's end; 0 without a tag
	level  sdk.Level // of the first member that states one

	kubernetes kubernetes

	// known is what the record says of its container, instead of kubernetes.
	known      *container
	containers *containers // where to look for it, if it is
	described  description
	named      int // how many members are named kubernetes
	docker     int // where the docker member begins, if it was the last one; else 0
}

// description tells where a record describes its container: in the kubernetes member, and in the
// docker member if that is right before it.
type description struct{ start, kubernetes, end int }

// The keys under which collectors put the text of a line, the most trusted first.
const (
	logKey     = iota // deis/fluentd, hephy/fluentd, fluent-bit on Docker
	messageKey        // fluentd and Vector on containerd
	msgKey            // an app's own JSON, merged
	textKeys
)

// The keys under which collectors put the time of a line, the most trusted first.
const (
	timeKey = iota
	timestampKey
	atTimestampKey
	dateKey
	tsKey
	underscoreTSKey
	timeKeys
)

// value says where a value is, as it is written, and of which kind it is.
type value struct {
	extent // between the quotes of a string; else all of it
	kind   kind
}

// kind says what a value is, by its first byte.
type kind uint8

const (
	absent    kind = iota // or null
	stringOf              // a string
	numberOf              // a number
	literalOf             // true or false
	nestedOf              // an object or an array
)

type kubernetes struct {
	podName, containerName, host, namespace extent

	app, process, version extent
	// selected are the labels that the selector asks for, in its order.
	selected [mostRequirements]extent
	// has says which of those labels the pod has.
	has [mostRequirements]bool
}

// member reads the value of a name of an object.
type member func(f *fields, s *scanner, settings *Selection, name []byte) bool

// object reads an object; member reads the value of each name.
func (s *scanner) object(f *fields, settings *Selection, member member) bool {
	s.i++
	if s.space() == '}' {
		s.i++
		return true
	}
	for {
		var name extent
		if !s.name(&name) {
			return false
		}
		unquoted := s.raw(&name)
		if name.escape < name.end {
			var b [longestName + 1]byte
			unquoted, _, _ = s.unquote(&name, b[:0], len(b))
		}
		if !member(f, s, settings, unquoted) {
			return false
		}
		switch s.space() {
		case ',':
			s.i++
		case '}':
			s.i++
			return true
		default:
			return s.fail("want a comma or the object's end")
		}
	}
}

// longestName is at least as long as any name that matters: the prefix of a label has at most 253
// bytes, and its name 63.
const longestName = 320

func (f *fields) member(s *scanner, settings *Selection, name []byte) bool {
	start := f.docker
	f.docker = 0
	switch string(name) {
	case "log":
		return s.line(&f.texts[logKey])
	case "message":
		return s.line(&f.texts[messageKey])
	case "msg":
		return s.line(&f.texts[msgKey])
	case "time":
		return s.time(&f.times[timeKey])
	case "timestamp":
		return s.time(&f.times[timestampKey])
	case "@timestamp":
		return s.time(&f.times[atTimestampKey])
	case "date":
		return s.time(&f.times[dateKey])
	case "ts":
		return s.time(&f.times[tsKey])
	case "_ts":
		return s.time(&f.times[underscoreTSKey])
	case "stream":
		return s.optional(&f.stream, 1)
	case "logtag", "_p", "tags":
		return s.tag(&f.tag)
	case "docker":
		f.docker = s.nameAt
		if f.recall(s) {
			return true
		}
	case "kubernetes":
		if start == 0 {
			if start = s.nameAt; f.recall(s) {
				return true
			}
		}
		if f.named++; f.known != nil {
			f.readKnown(s, settings)
		}
		switch s.peek() {
		case '{':
			object := s.i
			ok := s.object(f, settings, (*fields).kubernetesMember)
			f.described = description{start, object, s.i}
			return ok
		case 'n':
			f.kubernetes = kubernetes{}
			return s.literal("null")
		}
	}
	if f.level == sdk.LevelUnknown && len(name) <= longestLevelKey && level.Key(string(name)) {
		start := s.i
		if !s.skip(1) {
			return false
		}
		if raw := s.b[start:s.i]; len(raw) <= longestLevel {
			f.level = level.Value(string(raw))
		}
		return true
	}
	return s.skip(1)
}

// A member with a longer name or value states no level. Shorter ones take no memory as strings.
const longestLevelKey, longestLevel = 32, 32

// recall skips the description that begins with the last name, if its container is known.
func (f *fields) recall(s *scanner) bool {
	if f.containers == nil || f.named > 0 {
		return false
	}
	k := f.containers.find(s.b[s.nameAt:])
	if k == nil {
		return false
	}
	f.known, f.named = k, 1
	f.described = description{s.nameAt, s.nameAt + k.kubernetes, s.nameAt + len(k.description)}
	s.i = f.described.end
	return true
}

// readKnown reads the known object after all, since another one is merged with it.
func (f *fields) readKnown(s *scanner, settings *Selection) {
	at := s.i
	s.i = f.described.kubernetes
	s.object(f, settings, (*fields).kubernetesMember) // it is sound: it was read once
	s.i, f.known = at, nil
}

func (f *fields) kubernetesMember(s *scanner, settings *Selection, name []byte) bool {
	k := &f.kubernetes
	switch string(name) {
	case "pod_name":
		return s.optional(&k.podName, 2)
	case "container_name":
		return s.optional(&k.containerName, 2)
	case "host", "pod_node_name": // the second is Vector's
		return s.optional(&k.host, 2)
	case "namespace_name", "pod_namespace":
		return s.optional(&k.namespace, 2)
	case "labels", "pod_labels":
		switch s.peek() {
		case '{':
			return s.object(f, settings, (*fields).labelsMember)
		case 'n':
			k.app, k.process, k.version = extent{}, extent{}, extent{}
			k.selected, k.has = [mostRequirements]extent{}, [mostRequirements]bool{}
			return s.literal("null")
		}
	}
	return s.skip(2)
}

func (f *fields) labelsMember(s *scanner, settings *Selection, name []byte) bool {
	var label extent
	if !s.optional(&label, 3) {
		return false
	}
	k := &f.kubernetes
	if settings.app.is(name) {
		k.app = label
	}
	switch string(name) {
	case "type":
		k.process = label
	case "version":
		k.version = label
	}
	for i := range settings.requirements {
		if settings.requirements[i].key.is(name) {
			k.selected[i], k.has[i] = label, true
		}
	}
	return true
}

// optional reads a value that counts as absent if it is not a string.
func (s *scanner) optional(t *extent, depth int) bool {
	if s.peek() == '"' {
		return s.str(t)
	}
	*t = extent{}
	return s.skip(depth)
}

// value reads a value of the record, of any kind.
func (s *scanner) value(v *value) bool {
	start := s.i
	*v = value{}
	switch s.peek() {
	case '"':
		v.kind = stringOf
		return s.str(&v.extent)
	case 'n':
		return s.literal("null")
	case 't', 'f':
		v.kind = literalOf
	case '{', '[':
		v.kind = nestedOf
	default:
		v.kind = numberOf
	}
	ok := s.skip(1)
	v.start, v.end, v.escape, v.ascii = start, s.i, s.i, true
	return ok
}

// line reads a value that may be the text of the line. If there was one before, a blank or absent
// value does not replace it.
func (s *scanner) line(v *value) bool {
	if v.kind == absent {
		return s.value(v)
	}
	var another value
	if !s.value(&another) {
		return false
	}
	if another.kind != absent && !s.blank(&another) {
		*v = another
	}
	return true
}

// blank reports whether the value is a line without text.
func (s *scanner) blank(v *value) bool {
	if v.kind != stringOf {
		return false
	}
	var b [2]byte
	_, size, last := s.unquote(&v.extent, b[:0], len(b))
	return size == 0 || size == 1 && last == '\n'
}

// time reads a value that may be a time. It replaces an earlier one that is not usable.
func (s *scanner) time(v *value) bool {
	if v.kind == absent {
		return s.value(v)
	}
	var another value
	if !s.value(&another) {
		return false
	}
	if _, form := s.timeOf(v); form == timeUnusable && another.kind != absent {
		*v = another
	}
	return true
}
