package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if options := os.Getenv(roleEnv); options != "" { // the bench started itself, as a ceiling or an nsqd
		return report(stderr, playRole(ctx, options))
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return report(stderr, bench(ctx, o, stdout, stderr))
}

func report(stderr io.Writer, err error) int {
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// options holds the command line.
type options struct {
	runs       int
	only       []string
	storages   []string
	short      bool
	jsonFile   string
	binaries   string
	cpuProfile string
	timeout    time.Duration
	size       sizes
}

// sizes says how much is measured. The figures of a short run show little more than that the
// benchmark works.
type sizes struct {
	drain     int           // messages of a drain
	growth    int           // messages of a drain for each size of growth
	growthMB  int           // most megabytes of log text in one of these drains
	latency   int           // lines, of which linesPerSecond are published a second
	query     time.Duration // for each kind of query
	backlog   int           // waiting messages when the queries during a drain begin
	follow    time.Duration // for each number of followers
	idle      time.Duration // how long to idle; in a full run, each idle follower gets a heartbeat meanwhile
	starts    int           // of the logger, in each run
	search    int           // lines of one app, the newest hundredth of them recent
	wide      int           // lines of one app
	crowd     int           // followers of crowdApps apps
	followers []int
	clients   []int
}

var (
	fullSizes = sizes{
		drain: 500_000, growth: 200_000, growthMB: 100, latency: 240,
		query: 1500 * time.Millisecond, backlog: 450_000,
		follow: 6 * time.Second, idle: 15 * time.Second, starts: 5, search: 100_000, wide: 500_000, crowd: 10_000, followers: []int{1, 100, 1000}, clients: []int{1, 8, 64},
	}
	shortSizes = sizes{
		drain: 60_000, growth: 15_000, growthMB: 30, latency: 60,
		query: 300 * time.Millisecond, backlog: 100_000,
		follow: 2 * time.Second, idle: 5 * time.Second, starts: 2, search: 20_000, wide: 50_000, crowd: 1000, followers: []int{1, 100, 1000}, clients: []int{1, 8, 64},
	}
)

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{size: fullSizes}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	names := make([]string, 0, len(measures))
	for _, m := range measures {
		names = append(names, m.name)
	}
	only := f.String("only", "", "comma-separated measures, of: "+strings.Join(names, ", "))
	storage := f.String("storage", "", "comma-separated storages to measure with, of: "+strings.Join(storages, ", "))
	f.IntVar(&o.runs, "runs", 0, "runs of which the medians are taken (default 3, or 1 with -short)")
	f.BoolVar(&o.short, "short", false, "small sizes: shows that it works, in less than 3 min")
	f.StringVar(&o.jsonFile, "json", "bin/bench.json", "file for the figures as JSON; empty for none")
	f.StringVar(&o.binaries, "binaries", "", "folder of a built logger and its plugins to measure; default: build them")
	f.StringVar(&o.cpuProfile, "cpuprofile", "", "file for CPU profiles of the in-process drains (measure boundary): cpu.pprof makes cpu-memory.pprof and cpu-redis.pprof")
	f.DurationVar(&o.timeout, "timeout", 0, "longest time of it all (default 30m, or 5m with -short)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	refuse := func(format string, args ...any) (options, error) {
		err := fmt.Errorf(format, args...)
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return o, err
	}
	if f.NArg() > 0 {
		return refuse("%q: takes flags alone", f.Arg(0))
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(names, name) {
			return refuse("-only %q: want some of %s", name, strings.Join(names, ", "))
		}
	}
	if o.storages = storages; *storage != "" {
		o.storages = strings.Split(*storage, ",")
	}
	for _, name := range o.storages {
		if !slices.Contains(storages, name) {
			return refuse("-storage %q: want some of %s", name, strings.Join(storages, ", "))
		}
	}
	runs, timeout := 3, 30*time.Minute
	if o.short {
		o.size, runs, timeout = shortSizes, 1, 5*time.Minute
	}
	if o.runs == 0 {
		o.runs = runs
	}
	if o.timeout == 0 {
		o.timeout = timeout
	}
	if o.runs < 1 || o.timeout < 0 {
		return refuse("-runs %d -timeout %s: want more than nothing", o.runs, o.timeout)
	}
	return o, nil
}

// measure names one measurement.
type measure struct {
	name string
	// run measures once. It is called once in each run, in turn with the others.
	run func(ctx context.Context, r *rig) error
}

// measures lists all measurements, in the order of a run.
var measures = []measure{
	{"drain", measureDrain},
	{"boundary", measureBoundary},
	{"latency", measureLatency},
	{"queries", measureQueries},
	{"memory", measureMemory},
	{"growth", measureGrowth},
	{"followers", measureFollowers},
	{"start", measureStart},
	{"search", measureSearch},
	{"wide", measureWide},
	{"hosts", measureHosts},
	{"crowd", measureCrowd},
	{"loki", measureLoki},
}

// bench does all runs and prints the results. After an interruption or a failure, it prints what
// was measured before.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	r, err := newRig(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer r.close()
	started, revision := time.Now(), commit()
	err = r.measureAll(ctx)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("not done within %s", o.timeout)
	case ctx.Err() != nil:
		err = fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	s := r.figures.summary(o, revision, started)
	if err := s.print(stdout); err != nil {
		return err
	}
	if o.jsonFile != "" {
		if err := s.writeJSON(o.jsonFile); err != nil {
			return err
		}
	}
	return err
}

func (r *rig) measureAll(ctx context.Context) error {
	for i := range r.options.runs {
		for _, m := range measures {
			if len(r.options.only) > 0 && !slices.Contains(r.options.only, m.name) {
				continue
			}
			start := time.Now()
			before, err := machine()
			if err != nil {
				return err
			}
			r.logf("run %d of %d: %s", i+1, r.options.runs, m.name)
			if err := m.run(ctx, r); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			after, err := machine()
			if err != nil {
				return err
			}
			stolen := after.stolenSince(before)
			r.figures.add(m.name, "stolen by the hypervisor, of the time that was wanted", "%", stolen)
			r.logf("run %d of %d: %s took %.1f s; %.0f %% stolen", i+1, r.options.runs, m.name, time.Since(start).Seconds(), stolen)
		}
	}
	return nil
}
