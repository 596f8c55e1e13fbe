package pipeline

// fields are what matters of what a collector publishes. Names match exactly:
// collectors that merge an app's own JSON into the message put "Log" or "TIME" beside
// these. Of equal names the last counts; of equal objects, each of their members.
type fields struct {
	log        text
	stream     text
	time       text
	timeKind   timeKind
	kubernetes kubernetes

	// known is what the message says of its container, instead of kubernetes.
	known      *container
	containers *containers // where to look for it, if it is
	described  description
	named      int // how many members are named kubernetes
	docker     int // where docker is, if it was the last member; else 0
}

// description is where a message describes its container: kubernetes, and docker if that is
// right before.
type description struct{ start, kubernetes, end int }

type kubernetes struct {
	podName, containerName, host text

	labels labels
}

type labels struct{ app, process, version text }

// timeKind is what a message has for a time.
type timeKind uint8

const (
	timeMissing timeKind = iota // or null
	timeText
	timeOther
)

// read reads a whole message. It is false for one that is not a JSON object in which
// log is a string, and kubernetes and its labels are objects, where these are given
// and not null.
func (f *fields) read(s *scanner) bool {
	if s.space() != '{' {
		return s.fail("not a JSON object")
	}
	if !s.object(f, (*fields).member) {
		return false
	}
	s.space()
	return s.i == len(s.b) || s.fail("more than one value")
}

// object reads an object, of which member reads the value of each name.
func (s *scanner) object(f *fields, member func(f *fields, s *scanner, name []byte) bool) bool {
	s.i++
	if s.space() == '}' {
		s.i++
		return true
	}
	for {
		var name text
		if !s.name(&name) {
			return false
		}
		unquoted := s.raw(&name)
		if name.escape < name.end {
			var b [longestName + 1]byte
			unquoted, _, _ = s.unquote(&name, b[:0], len(b))
		}
		if !member(f, s, unquoted) {
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

// longestName is at least as long as any name that is looked for.
const longestName = 16

func (f *fields) member(s *scanner, name []byte) bool {
	start := f.docker
	f.docker = 0
	switch string(name) {
	case "log":
		switch s.peek() {
		case '"':
			return s.str(&f.log)
		case 'n':
			f.log = text{}
			return s.literal("null")
		}
		return s.fail("log is not a string")
	case "stream":
		return s.optional(&f.stream, 1)
	case "time":
		switch s.peek() {
		case '"':
			f.timeKind = timeText
			return s.str(&f.time)
		case 'n':
			f.timeKind = timeMissing
			return s.literal("null")
		}
		f.timeKind = timeOther
		return s.skip(1)
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
			f.readKnown(s)
		}
		switch s.peek() {
		case '{':
			object := s.i
			ok := s.object(f, (*fields).kubernetesMember)
			f.described = description{start, object, s.i}
			return ok
		case 'n':
			f.kubernetes = kubernetes{}
			return s.literal("null")
		}
		return s.fail("kubernetes is not an object")
	}
	return s.skip(1)
}

// recall goes past the description that begins with the last name, if it is known.
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

// readKnown reads the object after all, since another one is merged with it.
func (f *fields) readKnown(s *scanner) {
	at := s.i
	s.i = f.described.kubernetes
	s.object(f, (*fields).kubernetesMember) // it is sound: it was read once
	s.i, f.known = at, nil
}

func (f *fields) kubernetesMember(s *scanner, name []byte) bool {
	switch string(name) {
	case "pod_name":
		return s.optional(&f.kubernetes.podName, 2)
	case "container_name":
		return s.optional(&f.kubernetes.containerName, 2)
	case "host":
		return s.optional(&f.kubernetes.host, 2)
	case "labels":
		switch s.peek() {
		case '{':
			return s.object(f, (*fields).labelsMember)
		case 'n':
			f.kubernetes.labels = labels{}
			return s.literal("null")
		}
		return s.fail("labels is not an object")
	}
	return s.skip(2)
}

func (f *fields) labelsMember(s *scanner, name []byte) bool {
	switch string(name) {
	case "app":
		return s.optional(&f.kubernetes.labels.app, 3)
	case "type":
		return s.optional(&f.kubernetes.labels.process, 3)
	case "version":
		return s.optional(&f.kubernetes.labels.version, 3)
	}
	return s.skip(3)
}

// optional reads a value that is as good as none if it is not a string.
func (s *scanner) optional(t *text, depth int) bool {
	if s.peek() == '"' {
		return s.str(t)
	}
	*t = text{}
	return s.skip(depth)
}
