package render

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/deis/logger/client"
)

// Format says how a record is printed.
type Format string

// The formats.
const (
	// Default is the line that the platform shows: app[process.release.pod]: message.
	Default Format = "default"
	// Raw is the message alone.
	Raw Format = "raw"
	// JSON is the record as the server sent it, one line each.
	JSON Format = "json"
	// Logfmt is the record as pairs, with the members of a message that is itself JSON or logfmt.
	Logfmt Format = "logfmt"
	// Pretty is Default with the members of such a message apart.
	Pretty Format = "pretty"
	// Template is what the template makes of the record.
	Template Format = "template"
)

// timeLayout is the platform's layout for an entry's own time, in its own offset.
const timeLayout = "2006-01-02T15:04:05-07:00"

// Options configure a [Printer].
type Options struct {
	// App is the app of all records; empty if each record names its own.
	App        string
	Format     Format
	Template   *template.Template
	Timestamps bool
	// Location is the time zone in which times are shown; nil shows each as the entry states it.
	Location *time.Location
	// Colour allows colours, ours and the messages' own.
	Colour bool
	// Indent puts the further lines of a message under its first.
	Indent bool
	// MaxWidth is the most columns that a line of a message takes; 0 means any number.
	MaxWidth int
	// KeepControls prints messages as they are, whatever they do to a terminal.
	KeepControls bool
	// Highlight marks its matches; nil marks nothing.
	Highlight *regexp.Regexp
}

// Printer turns records into text. It is not safe for concurrent use.
type Printer struct{ opts Options }

// New makes a printer.
func New(opts Options) *Printer { return &Printer{opts: opts} }

// Append appends an entry, and a newline, to b as the printer's options say.
func (p *Printer) Append(b []byte, r *client.Record) ([]byte, error) {
	if len(r.Fields) > 0 && p.opts.Format != JSON && p.opts.Format != Template {
		r = p.chosen(r)
	}
	switch p.opts.Format {
	case JSON:
		return p.appendJSON(b, r), nil
	case Template:
		return p.appendTemplate(b, r)
	case Logfmt:
		return p.appendLogfmt(b, r), nil
	case Pretty:
		r = p.pretty(r)
	case Default, Raw:
	}
	width := 0
	if r.Apart {
		b = append(append(b, p.paint(dim, "--")...), '\n')
	}
	if p.opts.Timestamps {
		text := p.at(r.Time).Format(timeLayout)
		width += len(text) + 1
		b = append(b, p.paint(dim, text)...)
		b = append(b, ' ')
	}
	if p.opts.Format != Raw {
		name, part := origin(p.opts.App, r)
		width += uniseg.StringWidth(name+part) + 1
		switch colour := levelColours[r.Level]; {
		case colour != "":
			b = append(b, p.paint(colour, name)...)
			b = append(b, p.paint(colourOf(r), part)...)
		case p.opts.App == "":
			b = append(b, p.paint(podColour(r.App), name)...)
			b = append(b, p.paint(colourOf(r), part)...)
		default:
			b = append(b, p.paint(colourOf(r), name+part)...)
		}
		b = append(b, ' ')
	}
	if r.Late && p.opts.Format != Raw {
		width += len(lateMark)
		b = append(b, p.paint(dim, lateMark)...)
	}
	if !p.opts.Indent {
		width = 0
	}
	return p.appendMessage(b, r, width), nil
}

// lateMark stands before the message of a line that comes after newer ones.
const lateMark = "(late) "

// at returns the time in the zone in which it is to be shown.
func (p *Printer) at(t time.Time) time.Time {
	if p.opts.Location == nil {
		return t
	}
	return t.In(p.opts.Location)
}

func (p *Printer) paint(colour, s string) string {
	if !p.opts.Colour {
		return s
	}
	return paint(colour, s)
}

// origin says where an entry comes from, as the platform shows it: the name of the app or the
// controller, and the part of it. If several apps are shown, app is empty and the name is always
// the app's.
func origin(app string, r *client.Record) (name, part string) {
	switch {
	case app == "" && r.Source == "controller":
		return cleanField(r.App), "[controller]:"
	case app == "":
		app = cleanField(r.App)
	case r.Source == "controller":
		return cleanField(cmp.Or(r.Controller, "deis")), "[controller]:" // deis: of a server that does not say
	}
	part = "[" + cleanField(r.Process) + "." + cleanField(r.Release)
	if suffix := podSuffix(r.Pod); suffix != "" {
		part += "." + cleanField(suffix)
	}
	return app, part + "]:"
}

// podSuffix returns what tells the pods of one release apart: the last part of a name that
// has four or more.
func podSuffix(pod string) string {
	if strings.Count(pod, "-") < 3 {
		return ""
	}
	return pod[strings.LastIndexByte(pod, '-')+1:]
}

// appendMessage appends the message, its further lines indented by so many columns,
// what was cut off of it, and a newline.
func (p *Printer) appendMessage(b []byte, r *client.Record, indent int) []byte {
	if p.opts.KeepControls {
		b = append(b, r.Message...)
		return append(append(b, cutMark(r)...), '\n')
	}
	message := Clean(r.Message, p.opts.Colour)
	coloured := strings.IndexByte(message, esc) >= 0
	var own style
	for i, rest := 0, message; ; i++ {
		line, after, more := strings.Cut(rest, "\n")
		if i > 0 {
			b = append(b, '\n')
			b = append(b, strings.Repeat(" ", indent)...)
		}
		b = p.appendLine(b, line, &own)
		if !more {
			break
		}
		rest = after
	}
	if coloured {
		b = append(b, reset...)
	}
	b = append(b, p.paint(dim, cutMark(r))...)
	return append(b, '\n')
}

// appendLine appends a line of a message, of which own is the style so far.
func (p *Printer) appendLine(b []byte, line string, own *style) []byte {
	before := len(*own)
	shown := line
	if p.opts.Colour {
		shown = p.highlight(line, own)
	}
	if p.opts.MaxWidth == 0 {
		return append(b, shown...)
	}
	beginning, cut := Cut(shown, p.opts.MaxWidth)
	b = append(b, beginning...)
	if !cut {
		return b
	}
	if before > 0 || strings.IndexByte(beginning, esc) >= 0 {
		b = append(b, reset...)
	}
	b = append(b, p.paint(dim, fmt.Sprintf(" … [a line of %d bytes; --max-width 0 shows all]", len(line)))...)
	return append(b, own.String()...) // for the lines that follow
}

// cutMark returns the platform's mark for what the server cut off.
func cutMark(r *client.Record) string {
	if r.CutBytes == 0 {
		return ""
	}
	return fmt.Sprintf(" [cut: %d more bytes]", r.CutBytes)
}

// appendJSON appends the record as it came. Characters that a terminal would obey are
// written as JSON's own escapes, which changes no value.
func (p *Printer) appendJSON(b []byte, r *client.Record) []byte {
	if p.opts.KeepControls || harmless(string(r.Raw)) == len(r.Raw) {
		return append(append(b, r.Raw...), '\n')
	}
	for raw := r.Raw; len(raw) > 0; {
		c, size := utf8.DecodeRune(raw)
		switch {
		case c < ' ':
			b = append(b, ' ') // between values: in one it would be no JSON
		case obeyed(c), c == 0x2028, c == 0x2029:
			for _, unit := range utf16.AppendRune(nil, c) {
				b = fmt.Appendf(b, `\u%04x`, unit)
			}
		default:
			b = utf8.AppendRune(b, c)
		}
		raw = raw[size:]
	}
	return append(b, '\n')
}

func (p *Printer) appendTemplate(b []byte, r *client.Record) ([]byte, error) {
	var out bytes.Buffer
	if err := p.opts.Template.Execute(&out, p.line(r)); err != nil {
		return b, fmt.Errorf("--template: %w", err)
	}
	b = append(b, out.Bytes()...)
	if !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		b = append(b, '\n')
	}
	return b, nil
}
