package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// asks is the number of times a search is repeated; the median counts.
const asks = 5

// These searches match no line.
const (
	absent     = "no such text"
	absentFold = "(?i)no such text"
	noLiteral  = `\d[a-z]\d`
	// expensive may match at hundreds of places at once, at each byte.
	expensive = `(?:[a-z0-9./ ]{1,20}[^a-z0-9./ ]?){10}[\x01\x02]`
)

// measureSearch searches one app's many lines, and its newest minute, for texts that do not occur.
// grep searches the same bytes in a file, for comparison.
func measureSearch(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.search(ctx, storage); err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) search(ctx context.Context, storage string) error {
	l, q, stop, err := r.startAll(ctx, storage, r.options.size.search, map[string]string{"NUMBER_OF_LINES": strconv.Itoa(r.options.size.search)})
	if err != nil {
		return err
	}
	defer stop()
	newest := r.options.size.search / 100
	old := workload{apps: 1, lineBytes: lineBytes, messages: r.options.size.search - newest}
	for _, s := range []workload{old, {apps: 1, lineBytes: lineBytes, messages: newest, now: true}} {
		if err := q.fill(ctx, s, 0); err != nil {
			return err
		}
		if err := q.waitEmpty(ctx, l.ended); err != nil {
			return err
		}
	}
	s := searcher{l: l, r: r, storage: storage}
	if _, err := s.measure(ctx, "the newest minute", "since=1m&lines=-1", newest); err != nil {
		return err
	}
	text, err := s.measure(ctx, "a text", "lines=100&include="+url.QueryEscape(absent), 0)
	if err != nil {
		return err
	}
	fold, err := s.measure(ctx, "a text in any case", "lines=100&include="+url.QueryEscape(absentFold), 0)
	if err != nil {
		return err
	}
	r.figures.add("search", storage+": a text in any case ÷ a text", ratio, fold.Seconds()/text.Seconds())
	all, err := get(ctx, l.url+logsPath(0, -1))
	if err != nil {
		return err
	}
	if regexp, err := s.measure(ctx, "no literal", "lines=100&include="+url.QueryEscape(noLiteral), 0); err == nil {
		r.figures.add("search", storage+": no literal", mbPerSec, float64(len(all))/1e6/regexp.Seconds())
	} else { // it took longer than a request may take
		r.figures.note(fmt.Sprintf("search: %s: %v", storage, err))
		r.figures.add("search", storage+": no literal", mbPerSec, 0)
	}
	r.figures.add("search", storage+": a text", mbPerSec, float64(len(all))/1e6/text.Seconds())
	if err := r.grep(ctx, storage, all); err != nil {
		return err
	}
	return s.tooExpensive(ctx)
}

// searcher asks for one app's lines with filters.
type searcher struct {
	l       *logger
	r       *rig
	storage string
}

func (s searcher) path(query string) string {
	return "/v1/apps/" + appName(0) + "/logs?format=text&" + query
}

// measure asks several times and returns the median. Each answer must have that many lines.
func (s searcher) measure(ctx context.Context, name, query string, lines int) (time.Duration, error) {
	a, err := newAsker(ctx, s.l.url, 64<<10)
	if err != nil {
		return 0, err
	}
	defer a.close()
	times := make([]time.Duration, asks)
	for i := range times {
		start := time.Now()
		body, err := a.ask(s.path(query))
		times[i] = time.Since(start)
		if err != nil {
			return 0, err
		}
		if n := bytes.Count(body, []byte("\n")); n != lines {
			return 0, fmt.Errorf("%s: %d lines, want %d", query, n, lines)
		}
	}
	took := quantile(times, 0.5)
	s.r.figures.add("search", s.storage+": "+name, ms, took)
	return time.Duration(took * float64(time.Millisecond)), nil
}

// tooExpensive measures the processor time of one request whose expression costs more than allowed.
// The request has to be answered, no matter how.
func (s searcher) tooExpensive(ctx context.Context) error {
	before, err := times(s.l.pids())
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.l.url+s.path("lines=100&include="+url.QueryEscape(expensive)), http.NoBody)
	if err != nil {
		return err
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusBadRequest, http.StatusServiceUnavailable:
	default:
		return fmt.Errorf("an expensive expression is answered %s: %.200s", resp.Status, body)
	}
	took := time.Since(start)
	after, err := times(s.l.pids())
	if err != nil {
		return err
	}
	used := 0.0
	for name := range after {
		used += after[name] - before[name]
	}
	s.r.figures.add("search", s.storage+": too expensive", cpuOne, used)
	s.r.figures.add("search", s.storage+": too expensive: answered after", seconds, took.Seconds())
	s.r.figures.add("search", s.storage+": too expensive: status", "", float64(resp.StatusCode))
	return nil
}

// grep counts the lines of a file that contain the text. Its time includes starting the process and
// reading the file.
func (r *rig) grep(ctx context.Context, storage string, content []byte) (err error) {
	dir, err := r.folder()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "log")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	times := make([]time.Duration, asks)
	for i := range times {
		start := time.Now()
		out, err := exec.CommandContext(ctx, "grep", "-c", absent, file).Output()
		times[i] = time.Since(start)
		if e := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &e) || e.ExitCode() != 1) { // 1: no line matches
			return fmt.Errorf("grep: %w", err)
		}
		if string(bytes.TrimSpace(out)) != "0" {
			return fmt.Errorf("grep finds %q lines, want none", out)
		}
	}
	r.figures.add("search", storage+": grep -c", ms, quantile(times, 0.5))
	return nil
}
