package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const head = `# Which plugin passes which check

<!-- Written by make conformance-report, which runs the suites: do not change it by hand. -->

The suites check what [README.md](README.md) promises, one obligation each. This is what they said
of the plugins that come with logger and of the examples on %s, with
%s.
` + "`logger plugins check`" + ` says it of yours.

A suite runs in these ways:

| | |
|---|---|
| **D** | in the test's process: the implementation, called directly |
| **R** | over gRPC, in the same process: the SDK and the wire are between |
| **P** | as a program, which is started, configured, killed and ended as the logger does; this is what works in every language |
| **E** | elsewhere: a program that serves by itself, at an address |

A letter says that the check passed in that way. A check of what a plugin does not have is left out,
with the reason. A dash means that the plugin was not run in that way, or that the check is not part
of what was run. The checks ` + "`Away…` and `Frozen…`" + ` take a storage's backend away, and let it stand
still.

## In sum

`

// document returns the whole text.
func document(all results, with string) string {
	var b strings.Builder
	fmt.Fprintf(&b, head, time.Now().UTC().Format("2 January 2006"), with)
	b.WriteString("| plugin | language |")
	for _, m := range allModes {
		fmt.Fprintf(&b, " %s (%s) |", m.name, m.letter)
	}
	b.WriteString(" |\n|---|---|---|---|---|---|---|\n")
	for _, p := range plugins {
		fmt.Fprintf(&b, "| `%s` | %s |", p, p.language)
		for _, m := range allModes {
			fmt.Fprintf(&b, " %s |", all.of(p).sum(m))
		}
		fmt.Fprintf(&b, " %s |\n", p.note)
	}
	for _, kind := range []string{"storage", "aggregator"} {
		fmt.Fprintf(&b, "\n## %ss\n\n", strings.ToUpper(kind[:1])+kind[1:])
		table(&b, all, kind)
	}
	return b.String()
}

// sum returns how many checks passed in the mode, and how many did not.
func (o outcomes) sum(m mode) string {
	var passed, failed, left int
	for _, byMode := range o.byCheck {
		switch is, ran := byMode[m]; {
		case !ran:
		case is.failed:
			failed++
		case is.left:
			left++
		default:
			passed++
		}
	}
	if passed+failed+left == 0 {
		return "–"
	}
	text := fmt.Sprintf("%d passed", passed)
	if failed > 0 {
		text += fmt.Sprintf(", **%d failed**", failed)
	}
	if left > 0 {
		text += fmt.Sprintf(", %d left out", left)
	}
	return text
}

// table writes the checks of a kind of plugin, one a row, in the suite's order.
func table(b *strings.Builder, all results, kind string) {
	var of []plugin
	var checks []string
	for _, p := range plugins {
		if p.kind != kind {
			continue
		}
		of = append(of, p)
		checks = merge(checks, *all.of(p).order)
	}
	b.WriteString("| check |")
	for _, p := range of {
		fmt.Fprintf(b, " %s |", p.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(of)) + "\n")
	for _, check := range checks {
		fmt.Fprintf(b, "| `%s` |", check)
		for _, p := range of {
			fmt.Fprintf(b, " %s |", cell(all.of(p).byCheck[check]))
		}
		b.WriteString("\n")
	}
}

// merge inserts the names that are new, each after the name that it follows in more.
func merge(names, more []string) []string {
	at := 0
	for _, name := range more {
		if i := slices.Index(names, name); i >= 0 {
			at = i + 1
			continue
		}
		names = slices.Insert(names, at, name)
		at++
	}
	return names
}

// cell returns the result of a plugin's check: the letters of the modes in which it passed, and
// remarks about the other modes.
func cell(byMode map[mode]outcome) string {
	var passed []string
	others := map[string][]string{} // letters by remark
	var texts []string
	for _, m := range allModes {
		is, ran := byMode[m]
		if !ran {
			continue
		}
		var text string
		switch {
		case is.failed:
			text = "**failed**"
		case is.left:
			text = leftOut + strings.ReplaceAll(is.reason, "|", "\\|")
		default:
			passed = append(passed, m.letter)
			continue
		}
		if others[text] == nil {
			texts = append(texts, text)
		}
		others[text] = append(others[text], m.letter)
	}
	var parts []string
	if len(passed) > 0 {
		parts = append(parts, strings.Join(passed, " "))
	}
	for _, text := range texts {
		if len(passed) > 0 || len(texts) > 1 {
			text = strings.Join(others[text], " ") + " " + text
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, "; ")
}

// versions returns the versions of what the plugins ran with.
func versions(ctx context.Context) string {
	var all []string
	for _, v := range []struct {
		name, command string
	}{
		{"Go", `go env GOVERSION | sed 's/^go//'`},
		{"Redis", `redis-server --version | sed -E 's/.*v=([^ ]*).*/\1/'`},
		{"PostgreSQL", `"$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)"/postgres --version | sed -E 's/[^0-9]*([0-9.]+).*/\1/'`},
		{"Node.js", `node --version | sed 's/^v//'`},
		{"Python", `/usr/bin/python3 --version | sed 's/^[^0-9]*//'`},
	} {
		out, err := exec.CommandContext(ctx, "sh", "-c", v.command).Output()
		if version := strings.TrimSpace(string(out)); err == nil && version != "" {
			all = append(all, v.name+" "+version)
		}
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
