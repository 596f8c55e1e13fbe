package main

import (
	"regexp/syntax"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/deis/logger/sdk"
)

// filtered returns the conditions of a filter that SQL can state exactly as the SDK does, and puts
// their values into args. The SDK applies the whole filter to what is answered. So leaving a
// condition out is always right, and only slower; one that says a little less than the SDK's would
// lose lines.
//
// PostgreSQL's regular expressions are not Go's (RE2): of those, only plain texts become SQL.
func filtered(f *sdk.Filter, args pgx.NamedArgs) (conditions []string) {
	if f == nil {
		return nil
	}
	where := func(condition, name string, value any) {
		conditions, args[name] = append(conditions, condition), value
	}
	if !f.Since.IsZero() {
		where(`(seconds, nanos) >= (@since, @since_nanos)`, "since", f.Since.Unix())
		args["since_nanos"] = f.Since.Nanosecond()
	}
	if !f.Until.IsZero() {
		where(`(seconds, nanos) <= (@until, @until_nanos)`, "until", f.Until.Unix())
		args["until_nanos"] = f.Until.Nanosecond()
	}
	if len(f.Process) > 0 {
		where(`process = ANY(@process::bytea[])`, "process", bytesOf(f.Process))
	}
	if len(f.Release) > 0 {
		where(`release = ANY(@release::bytea[])`, "release", bytesOf(f.Release))
	}
	if len(f.Stream) > 0 {
		where(`stream = ANY(@stream::bytea[])`, "stream", bytesOf(f.Stream))
	}
	if len(f.Source) > 0 {
		sources := make([]int16, len(f.Source))
		for i, source := range f.Source {
			sources[i] = int16(source)
		}
		where(`source = ANY(@source::smallint[])`, "source", sources)
	}
	if len(f.Pod) > 0 { // a whole name, or what is behind its last dash
		where(`(pod = ANY(@pod::bytea[]) OR EXISTS (SELECT FROM unnest(@pod_end::bytea[]) AS tail
			WHERE length(pod) >= length(tail) AND substr(pod, length(pod) - length(tail) + 1) = tail))`, "pod", bytesOf(f.Pod))
		args["pod_end"] = podEnds(f.Pod)
	}
	// A piece of a line passes whatever its level and text are: the host knows the whole line.
	if f.Level != sdk.LevelUnknown {
		where(`(partial OR level >= @level)`, "level", int16(f.Level))
	}
	if included := plainTexts(f.Include); len(included) > 0 && len(included) == len(f.Include) { // one of them has to match
		where(`(partial OR EXISTS (SELECT FROM unnest(@include::bytea[]) AS part WHERE position(part IN message) > 0))`, "include", included)
	}
	if excluded := plainTexts(f.Exclude); len(excluded) > 0 { // each of them must not
		where(`(partial OR NOT EXISTS (SELECT FROM unnest(@exclude::bytea[]) AS part WHERE position(part IN message) > 0))`, "exclude", excluded)
	}
	return conditions
}

// plainTexts returns the regular expressions that stand for one text and nothing else.
func plainTexts(patterns []string) (texts [][]byte) {
	for _, pattern := range patterns {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err == nil && tree.Op == syntax.OpLiteral && tree.Flags&syntax.FoldCase == 0 {
			texts = append(texts, []byte(string(tree.Rune)))
		}
	}
	return texts
}

func podEnds(pods []string) [][]byte {
	ends := [][]byte{}
	for _, pod := range pods {
		if !strings.Contains(pod, "-") {
			ends = append(ends, []byte("-"+pod))
		}
	}
	return ends
}

func bytesOf(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}
