package logql

import "unicode/utf8"

// Limits of what is made from one line's fields.
const (
	maxFields    = 500
	maxNameBytes = 1000
	maxNames     = 1000 // that a pipeline remembers
)

func (e *Extract) compile() (step, error) {
	if e.Format == "logfmt" {
		return &logfmtStep{Extract: e}, nil
	}
	s := &jsonStep{}
	for _, l := range e.Labels {
		path, err := parsePath(l.From)
		if err != nil {
			return nil, err
		}
		s.wanted = append(s.wanted, wanted{l.Name, path})
	}
	return s, nil
}

// names maps fields' names to labels' names. It remembers them, because lines have the same fields
// over and over.
type names map[string]string

func (n *names) of(field []byte) string {
	if name, ok := (*n)[string(field)]; ok {
		return name
	}
	if *n == nil || len(*n) >= maxNames {
		*n = names{}
	}
	name := string(field)
	(*n)[name] = name
	return name
}

// appendName appends a field's name, with _ for characters that a label's name cannot contain.
func appendName[T []byte | string](to []byte, field T) []byte {
	if len(to) == 0 && len(field) > 0 && isDigit(field[0]) {
		to = append(to, '_')
	}
	for i := range len(field) {
		switch c := field[i]; {
		case isNameByte(c) && c != ':':
			to = append(to, c)
		case utf8.RuneStart(c): // one _ for each character
			to = append(to, '_')
		}
	}
	return to
}
