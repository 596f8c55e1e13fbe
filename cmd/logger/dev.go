package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/deis/logger/host"
)

// devDefaults has the variables that dev sets if the environment does not. All addresses are
// loopback.
var devDefaults = map[string]string{
	"STORAGE_ADAPTER":              "memory",
	"LOGGER_LISTEN_ADDR":           "127.0.0.1:8088",
	"LOGGER_ALLOWED_HOSTS":         "localhost",
	"LOGGER_DEV_NSQD_TCP_ADDR":     "127.0.0.1:4150",
	"LOGGER_PLUGIN_REATTACH_ALLOW": "true",
	"LOGGER_DEV_NSQD_HTTP_ADDR":    "127.0.0.1:4151",
}

// dev runs the logger with an nsqd until ctx ends, and prints how to use it. The queue and the
// plugins are the real ones, in processes of their own. A plugin whose file changes is started
// again, and one that runs in a debugger can be attached.
func dev(ctx context.Context, stdout, stderr io.Writer) (err error) {
	env := devEnvironment{}
	opts, err := host.LoadOptions(env.lookup)
	if err != nil {
		return err
	}
	logger := opts.Logger(stderr)
	defer heedLevelSignals(logger)()
	q, err := startQueue(ctx, env.get("LOGGER_DEV_NSQD_TCP_ADDR"), env.get("LOGGER_DEV_NSQD_HTTP_ADDR"), logger.Named("nsqd"))
	if err != nil {
		return fmt.Errorf("the queue (LOGGER_DEV_NSQD_TCP_ADDR, LOGGER_DEV_NSQD_HTTP_ADDR say where): %w", err)
	}
	// The queue ends last, so that the aggregator can give back what it holds.
	defer func() { err = errors.Join(err, q.stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the queue
		<-q.ended
		cancel()
	}()
	nsqHost, nsqPort, err := net.SplitHostPort(q.tcp)
	if err != nil {
		return err
	}
	_, nsqHTTP, err := net.SplitHostPort(q.http)
	if err != nil {
		return err
	}
	env["DEIS_NSQD_SERVICE_HOST"], env["DEIS_NSQD_SERVICE_PORT_TRANSPORT"] = nsqHost, nsqPort
	env["DEIS_NSQD_SERVICE_PORT_HTTP"] = nsqHTTP
	h, err := host.New(ctx, opts, env.lookup, logger)
	if err != nil {
		return err
	}
	h.SetVersion(version)
	h.ReloadPlugins()
	topic := env.get("NSQ_TOPIC")
	if topic == "" {
		topic = "logs"
	}
	printHowTo(stdout, opts, "http://"+q.http+"/pub?topic="+topic, "http://"+h.Addr().String())
	return h.Run(ctx)
}

// printHowTo prints what runs and how to try it.
func printHowTo(stdout io.Writer, opts host.Options, publish, url string) {
	page := ""
	if opts.UI {
		page = "\nor in a browser:\n  " + url + "/\n"
	}
	source, how := "a queue of its own", "publish a line of the app \"hello\":\n  curl -sS -d '"+helloLine+"' '"+publish+"'"
	if opts.AggregatorType != "nsq" { // another transport takes no curl
		source = "the aggregator " + opts.AggregatorType
		how = "publish a line of the app \"hello\" by the transport of " + opts.AggregatorType + "; the aggregator delivers it in this form:\n  " + helloLine
	}
	_, _ = fmt.Fprintf(stdout, howTo, how, url, os.Args[0], opts.StorageAdapter, page, source)
}

// helloLine is a message as collectors publish it.
const helloLine = `{"log":"hello, world\n","stream":"stdout","time":"2026-01-02T15:04:05+00:00","kubernetes":{"pod_name":"hello-web-1234567890-abcde","container_name":"hello-web","labels":{"app":"hello","type":"web","version":"v1"}}}`

const howTo = `
logger runs with %[6]s, the storage %[4]s and real plugin processes.

%[1]s

read its lines:
  curl -sS '%[2]s/logs/hello?log_lines=10'

watch them:
  %[3]s tail hello -f --server '%[2]s'
%[5]s
how it is: %[2]s/readyz  %[2]s/metrics
stop: Ctrl-C

`

// devEnvironment looks up variables: first what dev itself sets, then the process's environment,
// then the defaults of dev.
type devEnvironment map[string]string

func (e devEnvironment) lookup(name string) (string, bool) {
	if value, ok := e[name]; ok {
		return value, true
	}
	if value, ok := os.LookupEnv(name); ok && value != "" {
		return value, true
	}
	value, ok := devDefaults[name]
	return value, ok
}

func (e devEnvironment) get(name string) string {
	value, _ := e.lookup(name)
	return value
}
