package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// nsqdHTTPEnv lists the addresses of the HTTP APIs of all nsqd.
const nsqdHTTPEnv = "LOGGER_DOCTOR_NSQD_HTTP"

// contains calls [strings.Contains]. Only the wording of a report depends on its result.
func contains(text, part string) bool { return strings.Contains(text, part) }

func split(list string) (out []string) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// queue examines NSQ, from nsqd to the channel's consumers.
func (d *doctor) queue(ctx context.Context) {
	if d.host.AggregatorType != "nsq" {
		d.unknown(hopNSQD, "the aggregator is %s: only the plugin itself can look at where its messages come from", d.host.AggregatorType)
		return
	}
	if len(d.foreign[sdk.AggregatorKind]) > 0 {
		d.unknown(hopNSQD, "this environment leads to another queue than the running logger's: nothing there tells anything of it")
		d.consumerByLogger()
		return
	}
	if d.failed(hopAggregator) {
		d.unknown(hopNSQD, "where it is is not known: see the aggregator plugin")
		return
	}
	topic, channel := d.settings["NSQ_TOPIC"], d.settings["NSQ_CHANNEL"]
	nsqds, found := d.lookupd(ctx, topic)
	if d.failed(hopLookupd) || !d.nsqd(ctx, nsqds) {
		return
	}
	topics, ok := d.stats(ctx, nsqds, found)
	if !ok {
		d.consumerByLogger()
		return
	}
	if t, ok := d.topic(topics, topic); ok {
		d.channel(t, channel)
	}
}

// lookupd returns the nsqd that there are, and the HTTP addresses of those that nsqlookupd knows.
func (d *doctor) lookupd(ctx context.Context, topic string) (nsqds []string, found []producer) {
	nsqds = split(d.settings["NSQ_NSQD_ADDRS"])
	lookupds := split(d.settings["NSQ_LOOKUPD_ADDRS"])
	if len(nsqds)+len(lookupds) == 0 {
		return []string{net.JoinHostPort(cmp.Or(d.settings["DEIS_NSQD_SERVICE_HOST"], "localhost"), d.settings["DEIS_NSQD_SERVICE_PORT_TRANSPORT"])}, nil
	}
	if len(lookupds) == 0 {
		return nsqds, nil
	}
	ctx, cancel := context.WithTimeout(ctx, HopTimeout)
	defer cancel()
	var away []string
	known := 0
	for _, addr := range lookupds {
		having, all, err := producers(ctx, addr, topic)
		if err != nil {
			away = append(away, why(addr, err))
			continue
		}
		known += len(all)
		for _, p := range having {
			if !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	for _, p := range found {
		if !slices.Contains(nsqds, p.tcp()) {
			nsqds = append(nsqds, p.tcp())
		}
	}
	seen := fmt.Sprintf("%d of %d answer, and know %d nsqd, %d of them with topic %q", len(lookupds)-len(away), len(lookupds), known, len(found), topic)
	switch {
	case len(away) == len(lookupds):
		d.fail(hopLookupd, seen, "no nsqlookupd can be reached: "+strings.Join(away, "; "), "Start it, or correct NSQ_LOOKUPD_ADDRS: host:port of its HTTP side (4161)")
	case len(nsqds) == 0 && known == 0:
		d.fail(hopLookupd, seen, "no nsqd has registered with nsqlookupd", "Start nsqd with --lookupd-tcp-address and a --broadcast-address that can be reached")
	case len(nsqds) == 0:
		d.fail(hopLookupd, seen, fmt.Sprintf("no nsqd has the topic %q", topic), "Nobody has published to it: look at the collectors, or correct NSQ_TOPIC")
	case len(away) > 0:
		d.warn(hopLookupd, "%s; %s", seen, strings.Join(away, "; "))
	default:
		d.ok(hopLookupd, "%s", seen)
	}
	return nsqds, found
}

// nsqd asks every nsqd who it is.
func (d *doctor) nsqd(ctx context.Context, addrs []string) bool {
	ctx, cancel := context.WithTimeout(ctx, HopTimeout)
	defer cancel()
	tls := d.settings["NSQ_TLS"] == "true" || d.settings["NSQ_TLS"] == "1"
	fine, broken := make([]string, 0, len(addrs)), make([]string, 0, len(addrs))
	var first Finding
	for _, addr := range addrs {
		id, err := identify(ctx, addr, tls)
		f := Finding{Hop: hopNSQD, Status: Fail, Seen: addr, Advice: "Start nsqd, or correct DEIS_NSQD_SERVICE_HOST and DEIS_NSQD_SERVICE_PORT_TRANSPORT"}
		switch {
		case errors.Is(err, errHTTP):
			f.Culprit = fmt.Sprintf("%s is an HTTP port, not nsqd's TCP port", addr)
			f.Advice = "Set DEIS_NSQD_SERVICE_PORT_TRANSPORT (or NSQ_NSQD_ADDRS) to nsqd's TCP port, 4150 by default"
		case errors.Is(err, errNotNSQ):
			f.Culprit = fmt.Sprintf("%s is not nsqd's TCP port: %v", addr, err)
			f.Advice = "Set DEIS_NSQD_SERVICE_PORT_TRANSPORT (or NSQ_NSQD_ADDRS) to nsqd's TCP port, 4150 by default"
		case err != nil:
			f.Culprit = "nsqd cannot be reached: " + why(addr, err)
		case id.AuthRequired && d.given("NSQ_AUTH_SECRET") == "":
			f.Culprit, f.Advice = "nsqd wants AUTH, and NSQ_AUTH_SECRET is not set", "Set it"
		case tls && !id.TLS:
			f.Culprit, f.Advice = "NSQ_TLS is set, and this nsqd has no TLS", "Give nsqd a certificate, or take NSQ_TLS away"
		default:
			fine = append(fine, fmt.Sprintf("%s (%s)", addr, id.Version))
			continue
		}
		if broken = append(broken, f.Culprit); len(broken) == 1 {
			first = f
		}
	}
	switch {
	case len(fine) == 0 && d.servesThere(ctx, sdk.AggregatorKind):
		d.warn(hopNSQD, "not from here: %s; but the running logger says that it is connected: %s", strings.Join(broken, "; "), d.otherwise(sdk.AggregatorKind))
		d.consumerByLogger()
	case len(fine) == 0:
		d.add(first)
	case len(broken) > 0:
		d.warn(hopNSQD, "%s; %s", strings.Join(fine, ", "), strings.Join(broken, "; "))
	default:
		d.ok(hopNSQD, "it answers: %s", strings.Join(fine, ", "))
	}
	return len(fine) > 0
}

// stats returns the statistics of all nsqd together. It returns false if no nsqd gives any.
func (d *doctor) stats(ctx context.Context, nsqds []string, found []producer) (all []topicStats, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, HopTimeout)
	defer cancel()
	type side struct{ addr, tcpPort string }
	var sides []side
	for _, addr := range split(d.given(nsqdHTTPEnv)) {
		sides = append(sides, side{addr, ""})
	}
	if len(sides) == 0 {
		httpPort := d.settings["DEIS_NSQD_SERVICE_PORT_HTTP"]
		if httpPort == "" || httpPort == "0" { // the plugin does not use it, or has another version
			httpPort = "4151"
		}
		for _, addr := range nsqds {
			host, port, _ := net.SplitHostPort(addr)
			http := side{net.JoinHostPort(host, httpPort), port}
			for _, p := range found {
				if p.tcp() == addr {
					http.addr = p.http()
				}
			}
			sides = append(sides, http)
		}
	}
	var silent []string
	for _, s := range sides {
		topics, err := stats(ctx, s.addr, s.tcpPort)
		if err != nil {
			silent = append(silent, why(s.addr, err))
			continue
		}
		all = append(all, topics...)
	}
	if len(silent) > 0 {
		d.unknown(hopTopic, "nsqd's HTTP side cannot be asked, so topic and channel are not known (%s says where it is): %s", nsqdHTTPEnv, strings.Join(silent, "; "))
	}
	return all, len(silent) < len(sides)
}

// topic judges the topic across all nsqd.
func (d *doctor) topic(all []topicStats, name string) (topic topicStats, ok bool) {
	var others []topicStats
	for _, t := range all {
		switch {
		case t.Name == name:
			topic.Name = name
			topic.Depth += t.Depth
			topic.Messages += t.Messages
			topic.Paused = topic.Paused || t.Paused
			topic.Channels = append(topic.Channels, t.Channels...)
		case t.Messages > 0:
			others = append(others, t)
		}
	}
	slices.SortFunc(others, func(a, b topicStats) int { return cmp.Compare(b.Messages, a.Messages) })
	seen := fmt.Sprintf("%q has got %d messages since nsqd started, %d wait for a channel", name, topic.Messages, topic.Depth)
	if topic.Name == "" {
		seen = fmt.Sprintf("nsqd has no topic %q", name)
	}
	switch {
	case topic.Paused:
		d.fail(hopTopic, seen, fmt.Sprintf("topic %q is paused", name), fmt.Sprintf("Unpause it: POST /topic/unpause?topic=%s to nsqd's HTTP side", name))
	case topic.Messages > 0:
		d.ok(hopTopic, "%s", seen)
		return topic, true
	case d.hasLines():
		d.warn(hopTopic, "%s; the logger has lines from before", seen)
		return topic, topic.Name != ""
	case len(others) > 0:
		d.fail(hopTopic, seen, fmt.Sprintf("nobody has published to topic %q, but %d messages went to topic %q", name, others[0].Messages, others[0].Name),
			fmt.Sprintf("Let the collectors publish to %q, or set NSQ_TOPIC=%s", name, others[0].Name))
	default:
		d.fail(hopTopic, seen, fmt.Sprintf("nobody has published to topic %q", name), "Look at the collectors (fluentd, fluent-bit): do they run, and publish to this nsqd and topic?")
	}
	return topic, topic.Name != ""
}

// hasLines reports whether the logger has, or ever had, lines.
func (d *doctor) hasLines() bool {
	received, _ := d.logger.metric("logger_messages_received_total")
	return received > 0 || len(d.logger.apps) > 0
}

// channel judges the channel and its consumers.
func (d *doctor) channel(t topicStats, name string) {
	var c channelStats
	var names []string
	for _, part := range t.Channels {
		if part.Name != name {
			names = append(names, fmt.Sprintf("%q", part.Name))
			continue
		}
		c.nsqds++
		c.Name, c.at = name, cmp.Or(c.at, part.at)
		c.Depth, c.InFlight, c.Deferred = c.Depth+part.Depth, c.InFlight+part.InFlight, c.Deferred+part.Deferred
		c.Messages, c.Requeued, c.TimedOut = c.Messages+part.Messages, c.Requeued+part.Requeued, c.TimedOut+part.TimedOut
		c.Paused = c.Paused || part.Paused
		c.Clients = append(c.Clients, part.Clients...)
	}
	seen := fmt.Sprintf("%q: depth %d, in flight %d, deferred %d; of %d messages %d were given back and %d timed out", name, c.Depth, c.InFlight, c.Deferred, c.Messages, c.Requeued, c.TimedOut)
	switch {
	case c.Name == "" && d.logger.err != nil:
		d.unknown(hopChannel, "nsqd has no channel %q: a logger makes it when it connects", name)
		return
	case c.Name == "":
		d.fail(hopChannel, fmt.Sprintf("topic %q has the channels [%s]", t.Name, strings.Join(names, ", ")), fmt.Sprintf("there is no channel %q: the logger has not subscribed", name),
			"Compare NSQ_TOPIC, NSQ_CHANNEL and the address of nsqd here and in the logger's environment")
		return
	case c.Paused:
		d.fail(hopChannel, seen, fmt.Sprintf("channel %q is paused", name), fmt.Sprintf("Unpause it: curl -X POST 'http://%s/channel/unpause?topic=%s&channel=%s'", c.at, t.Name, name))
	case c.Depth > 0:
		d.warn(hopChannel, "%s", seen)
	default:
		d.ok(hopChannel, "%s", seen)
	}
	d.consumers(c)
}

// consumers judges which clients share the channel's messages.
func (d *doctor) consumers(c channelStats) {
	var loggers, strangers []string
	here, _ := os.Hostname()
	for _, client := range c.Clients {
		who := fmt.Sprintf("%s of %s at %s", client.UserAgent, client.Hostname, client.Address)
		switch {
		case !strings.HasPrefix(client.UserAgent, ours):
			strangers = append(strangers, fmt.Sprintf("%s, which finished %d", who, client.Finished))
		case client.Hostname == here:
			loggers = append(loggers, who+" (this host)")
		default:
			loggers = append(loggers, who)
		}
	}
	seen := fmt.Sprintf("%d loggers, %d others", len(loggers), len(strangers))
	switch {
	case len(strangers) > 0:
		d.fail(hopConsumer, seen, fmt.Sprintf("another consumer takes messages of channel %q: %s", c.Name, strings.Join(strangers, "; ")),
			"Stop it, or give it a channel of its own: the consumers of one channel share its messages")
	case len(loggers) == 0 && d.logger.err != nil:
		d.unknown(hopConsumer, "none is connected, and no logger runs")
	case len(loggers) == 0:
		culprit := "the logger is not connected"
		switch p, ok := d.logger.plugin(sdk.AggregatorKind); {
		case ok && p.Reason != "":
			culprit += ": " + p.Reason
		case ok && p.State == plugin.Ready:
			culprit = "the logger is connected, but to another nsqd than the one seen from here"
		}
		d.fail(hopConsumer, seen, culprit, "Compare the settings of nsqd here and in the logger's environment; its log says why")
	case d.host.StorageAdapter == "memory" && len(loggers) > c.nsqds: // each logger has one connection to each nsqd
		d.fail(hopConsumer, strings.Join(loggers, ", "), "several loggers share the channel, and each keeps its part of the lines in its own memory", "Run one, or share a storage: STORAGE_ADAPTER=redis")
	default:
		d.ok(hopConsumer, "%s", strings.Join(loggers, ", "))
	}
}

// consumerByLogger tells what the logger itself reports of its connection.
func (d *doctor) consumerByLogger() {
	p, ok := d.logger.plugin(sdk.AggregatorKind)
	switch {
	case !ok:
		d.unknown(hopConsumer, "no logger runs")
	case p.State == plugin.Ready:
		d.ok(hopConsumer, "the logger says that it is connected")
	default:
		d.fail(hopConsumer, "the logger's aggregator is "+string(p.State), "the logger is not connected: "+p.Reason, "Compare the settings of nsqd here and in the logger's environment; its log says why")
	}
}
