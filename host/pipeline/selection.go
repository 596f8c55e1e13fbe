package pipeline

import (
	"bytes"
	"iter"
	"math"
	"strings"

	"github.com/deis/logger/sdk"
)

// Selection says which records are lines of which app.
type Selection struct {
	// AppLabel names the app, as a label of its pods: LOGGER_APP_LABEL.
	AppLabel string
	// LabelSelector selects pods by their labels, as the equality-based selectors of Kubernetes do:
	// "heritage=deis,tier!=infra,logged,!private". Lines of other pods are not kept.
	LabelSelector string
	// NamespacesExclude are namespaces whose lines are not kept, comma-separated.
	NamespacesExclude string
	// ControllerContainer is a part of the name of the controller's container.
	ControllerContainer string
	// ControllerNamespace is the namespace of the controller; empty means any.
	ControllerNamespace string

	app          labelKey
	requirements []requirement
	excluded     []string
}

// mostRequirements bounds the parts of a label selector.
const mostRequirements = 8

// requirement holds one part of a label selector.
type requirement struct {
	key    labelKey
	value  string
	exists bool // asks for the label, whatever its value
	not    bool // asks for the opposite
}

// labelKey holds a label's name as it is, and with underscores in place of the dots, as some
// collectors write it.
type labelKey struct{ name, replaced string }

func newLabelKey(name string) labelKey { return labelKey{name, strings.ReplaceAll(name, ".", "_")} }

func (k *labelKey) is(name []byte) bool { return string(name) == k.name || string(name) == k.replaced }

// Compile checks the settings and makes them ready for use. Its error wraps [sdk.ErrInvalid],
// and names the variable that is wrong.
func (s *Selection) Compile() error {
	if !validLabel(s.AppLabel) {
		return sdk.Refusef("LOGGER_APP_LABEL=%.100q: want the name of a label, such as app or app.kubernetes.io/name", s.AppLabel)
	}
	if s.ControllerContainer == "" { // every name would contain it
		return sdk.Refusef("LOGGER_CONTROLLER_CONTAINER=\"\": want a part of the name of the controller's container")
	}
	s.app, s.requirements, s.excluded = newLabelKey(s.AppLabel), nil, nil
	for part := range list(s.LabelSelector) {
		r, ok := parseRequirement(part)
		if !ok || len(s.requirements) == mostRequirements {
			return sdk.Refusef("LOGGER_LABEL_SELECTOR=%.200q: want at most %d of label=value, label!=value, label or !label, with commas between",
				s.LabelSelector, mostRequirements)
		}
		s.requirements = append(s.requirements, r)
	}
	for name := range list(s.NamespacesExclude) {
		if !validName(name) {
			return sdk.Refusef("LOGGER_NAMESPACES_EXCLUDE=%.200q: want names of namespaces, with commas between", s.NamespacesExclude)
		}
		s.excluded = append(s.excluded, name)
	}
	if s.ControllerNamespace != "" && !validName(s.ControllerNamespace) {
		return sdk.Refusef("LOGGER_CONTROLLER_NAMESPACE=%.100q: want the name of a namespace", s.ControllerNamespace)
	}
	return nil
}

// list yields the texts between the commas, without the white space around them. It skips empty
// ones.
func list(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// parseRequirement reads label=value (also with ==), label!=value, label or !label.
func parseRequirement(text string) (r requirement, ok bool) {
	name, value, equation := strings.Cut(text, "=")
	if equation {
		name, r.not = strings.CutSuffix(name, "!")
		r.value = strings.TrimSpace(strings.TrimPrefix(value, "="))
	} else {
		r.exists = true
		name, r.not = strings.CutPrefix(name, "!")
	}
	name = strings.TrimSpace(name)
	r.key = newLabelKey(name)
	return r, validLabel(name) && (r.value == "" || validName(r.value))
}

// validLabel reports whether the text may be the name of a label: a name, with or without a prefix.
func validLabel(text string) bool {
	prefix, name, ok := strings.Cut(text, "/")
	return len(text) < longestName && validName(prefix) && (!ok || validName(name))
}

// validName reports whether Kubernetes would accept the name, for anything.
func validName(name string) bool { return sdk.CheckApp(name) == nil }

// leftOut returns why a record of the container is not kept, or nil.
func (d *decoder) leftOut(k *kubernetes) *rejection {
	namespace := d.unquote(&k.namespace, longestLabel+1)
	for _, name := range d.selection.excluded {
		if string(namespace) == name {
			return &rejection{NotSelected, "namespace " + name + " is in LOGGER_NAMESPACES_EXCLUDE", name}
		}
	}
	for i := range d.selection.requirements {
		r := &d.selection.requirements[i]
		met := k.has[i]
		if !r.exists {
			met = met && string(d.unquote(&k.selected[i], longestLabel+1)) == r.value
		}
		if met == r.not {
			return &rejection{NotSelected, "label " + r.key.name + " is not as LOGGER_LABEL_SELECTOR asks", d.label(&k.namespace)}
		}
	}
	return nil
}

// isController reports whether the container is the platform's controller.
func (d *decoder) isController(k *kubernetes) bool {
	s := d.selection
	if !bytes.Contains(d.unquote(&k.containerName, math.MaxInt), []byte(s.ControllerContainer)) {
		return false
	}
	return s.ControllerNamespace == "" || string(d.unquote(&k.namespace, longestLabel+1)) == s.ControllerNamespace
}
