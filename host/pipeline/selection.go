package pipeline

import (
	"bytes"
	"strings"

	"github.com/deis/logger/sdk"
)

// Selection says which records are lines of which app.
type Selection struct {
	// AppLabel names the app, as a label of its pods: LOGGER_APP_LABEL.
	AppLabel string
	// LabelSelector asks for labels of the pods whose lines are kept, as the equality-based
	// ones of Kubernetes do: "heritage=deis,tier!=infra,logged,!private".
	LabelSelector string
	// NamespacesExclude are namespaces whose lines are not kept, comma-separated.
	NamespacesExclude string
	// ControllerContainer is contained in the name of the controller's container.
	ControllerContainer string
	// ControllerNamespace is the only namespace of the controller; empty for any.
	ControllerNamespace string

	app          labelKey
	requirements []requirement
	excluded     []string
}

// mostRequirements bounds a label selector.
const mostRequirements = 8

// requirement is a part of a label selector.
type requirement struct {
	key    labelKey
	value  string
	exists bool // asks for the label, whatever its value
	not    bool // asks for the opposite
}

// labelKey is a label's name as it is, and with the dots replaced, as some collectors do.
type labelKey struct{ name, replaced string }

func newLabelKey(name string) labelKey { return labelKey{name, strings.ReplaceAll(name, ".", "_")} }

func (k *labelKey) is(name []byte) bool { return string(name) == k.name || string(name) == k.replaced }

// Compile checks the settings and makes them ready for use. Its error wraps [sdk.ErrInvalid],
// and says the variable that is wrong.
func (s *Selection) Compile() error {
	if !validLabel(s.AppLabel) {
		return sdk.Refusef("LOGGER_APP_LABEL=%.100q: want the name of a label, such as app or app.kubernetes.io/name", s.AppLabel)
	}
	s.app, s.requirements, s.excluded = newLabelKey(s.AppLabel), nil, nil
	for part := range strings.SplitSeq(s.LabelSelector, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		r := requirement{}
		name := part
		if key, value, ok := strings.Cut(part, "="); ok {
			key, r.not = strings.CutSuffix(strings.TrimSpace(key), "!")
			name, r.value = strings.TrimSpace(key), strings.TrimSpace(strings.TrimPrefix(value, "="))
		} else {
			r.exists = true
			name, r.not = strings.CutPrefix(part, "!")
		}
		if name = strings.TrimSpace(name); !validLabel(name) || strings.ContainsAny(r.value, "=! ") || len(s.requirements) == mostRequirements {
			return sdk.Refusef("LOGGER_LABEL_SELECTOR=%.200q: want at most %d of label=value, label!=value, label or !label, with commas between",
				s.LabelSelector, mostRequirements)
		}
		r.key = newLabelKey(name)
		s.requirements = append(s.requirements, r)
	}
	for name := range strings.SplitSeq(s.NamespacesExclude, ",") {
		if name = strings.TrimSpace(name); name != "" {
			s.excluded = append(s.excluded, name)
		}
	}
	return nil
}

// validLabel takes what a label's name has: an optional prefix with a slash, and the name.
func validLabel(name string) bool {
	return len(name) > 0 && len(name) < longestName && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./", r))
	})
}

// selects reports whether a record of the container is kept, and else why not.
func (d *decoder) selects(k *kubernetes) (why string, ok bool) {
	namespace := d.unquote(&k.namespace, longestLabel+1)
	for _, name := range d.selection.excluded {
		if string(namespace) == name {
			return "namespace " + name + " is in LOGGER_NAMESPACES_EXCLUDE", false
		}
	}
	for i := range d.selection.requirements {
		r := &d.selection.requirements[i]
		met := k.has[i]
		if !r.exists {
			met = met && string(d.unquote(&k.selected[i], longestLabel+1)) == r.value
		}
		if met == r.not {
			return "its label " + r.key.name + " is not as LOGGER_LABEL_SELECTOR asks", false
		}
	}
	return "", true
}

// isController reports whether the container is the platform's controller.
func (d *decoder) isController(k *kubernetes, container []byte) bool {
	return bytes.Contains(container, []byte(d.selection.ControllerContainer)) &&
		(d.selection.ControllerNamespace == "" || string(d.unquote(&k.namespace, longestLabel+1)) == d.selection.ControllerNamespace)
}
