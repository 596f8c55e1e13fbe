package main

import "fmt"

// target holds a condition that has to be met. Its number is the row in docs/performance.md; a row
// with several conditions is several targets.
type target struct {
	row     int
	text    string
	figure  key
	atLeast bool // otherwise limit is the most
	limit   float64
}

const (
	ratio    = "×"
	perSec   = "1/s"
	entries  = "entries"
	cpu      = "CPU s/M"
	megabyte = "MB"
	ms       = "ms"
	micros   = "µs"
	percent  = "% of a core"
	seconds  = "s"
	mbPerSec = "MB/s"
	cpuOne   = "CPU s"
)

// targets lists the conditions that a run is compared with. Each limit applies to the median of the
// runs. A ratio is first computed within each run.
var targets = []target{
	{1, "drain, memory ÷ the faster go-nsq consumer that only acknowledges", key{"drain", "memory ÷ go-nsq", ratio}, true, 2.3},
	{1, "drain, memory ÷ raw reader", key{"drain", "memory ÷ raw reader", ratio}, true, 0.5},
	{2, "drain, redis ÷ the faster go-nsq consumer that only acknowledges", key{"drain", "redis ÷ go-nsq", ratio}, true, 1.8},
	{3, "CPU of host + plugins per million messages, memory", key{"drain", "memory: host + plugins", cpu}, false, 9},
	{3, "CPU of host + plugins per million messages, redis", key{"drain", "redis: host + plugins", cpu}, false, 11},
	{3, "CPU of Redis per million messages", key{"drain", "redis: Redis", cpu}, false, 1.9},
	{4, "peak memory of host + nsq plugin, memory", key{"drain", "memory: peak of host + nsq plugin", megabyte}, false, 120},
	{4, "peak memory of host + nsq plugin, redis", key{"drain", "redis: peak of host + nsq plugin", megabyte}, false, 120},
	{4, "peak memory of the memory plugin above what it keeps", key{"drain", "memory: peak of storage plugin above what it keeps", megabyte}, false, 40},
	{4, "peak memory of the redis plugin", key{"drain", "redis: peak of storage plugin above what it keeps", megabyte}, false, 40},
	{5, "publish → visible, memory, p50", key{"latency", "memory: p50", ms}, false, 3},
	{5, "publish → visible, memory, p99", key{"latency", "memory: p99", ms}, false, 15},
	{5, "publish → visible, redis, p50", key{"latency", "redis: p50", ms}, false, 3.6},
	{5, "publish → visible, redis, p99", key{"latency", "redis: p99", ms}, false, 15},
	{6, "query 100 lines, 8 clients, memory ÷ bare handler", key{"queries", "memory: idle, 100 lines, 8 clients ÷ bare handler", ratio}, true, 0.5},
	{6, "query 1000 lines, 8 clients, memory ÷ bare handler", key{"queries", "memory: idle, 1000 lines, 8 clients ÷ bare handler", ratio}, true, 0.5},
	{7, "query 100 lines, 8 clients, redis ÷ bare handler with LRANGE", key{"queries", "redis: idle, 100 lines, 8 clients ÷ bare handler", ratio}, true, 0.6},
	{7, "query 1000 lines, 8 clients, redis ÷ bare handler with LRANGE", key{"queries", "redis: idle, 1000 lines, 8 clients ÷ bare handler", ratio}, true, 0.6},
	{8, "query p99 draining ÷ idle, 100 lines, 8 clients, memory", key{"queries", "memory: 100 lines, 8 clients: p99 draining ÷ idle", ratio}, false, 5},
	{8, "query p99 draining ÷ idle, 1000 lines, 8 clients, memory", key{"queries", "memory: 1000 lines, 8 clients: p99 draining ÷ idle", ratio}, false, 5},
	{8, "query p99 draining ÷ idle, 100 lines, 8 clients, redis", key{"queries", "redis: 100 lines, 8 clients: p99 draining ÷ idle", ratio}, false, 5},
	{8, "query p99 draining ÷ idle, 1000 lines, 8 clients, redis", key{"queries", "redis: 1000 lines, 8 clients: p99 draining ÷ idle", ratio}, false, 5},
	{9, "drain out-of-process ÷ in-process, memory", key{"boundary", "memory: out-of-process ÷ in-process", ratio}, true, 0.7},
	{9, "drain out-of-process ÷ in-process, redis", key{"boundary", "redis: out-of-process ÷ in-process", ratio}, true, 0.7},
	{10, "memory storage: bytes kept per entry ÷ the entry's own", key{"memory", "bytes kept ÷ own bytes", ratio}, false, 1.25},
	{11, "cost per message at 10,000 apps ÷ at 10 apps, memory", key{"growth", "memory: 10000 apps ÷ 10 apps", ratio}, false, 1.6},
	{11, "cost per message at 10,000 apps ÷ at 10 apps, redis", key{"growth", "redis: 10000 apps ÷ 10 apps", ratio}, false, 1.6},
	{12, "publish → follower p99, 1 of one app, memory", key{"followers", "memory: 1 followers: p99", ms}, false, 30},
	{12, "publish → follower p99, 100 of one app, memory", key{"followers", "memory: 100 followers: p99", ms}, false, 40},
	{12, "publish → follower p99, 1000 of one app, memory", key{"followers", "memory: 1000 followers: p99", ms}, false, 100},
	{12, "publish → follower p99, 1 of one app, redis", key{"followers", "redis: 1 followers: p99", ms}, false, 30},
	{12, "publish → follower p99, 100 of one app, redis", key{"followers", "redis: 100 followers: p99", ms}, false, 40},
	{12, "publish → follower p99, 1000 of one app, redis", key{"followers", "redis: 1000 followers: p99", ms}, false, 100},
	{13, "1000 idle followers: memory of host + plugins, memory", key{"followers", "memory: 1000 idle followers: memory", megabyte}, false, 40},
	{13, "1000 idle followers: CPU of host + plugins, memory", key{"followers", "memory: 1000 idle followers: CPU", percent}, false, 1},
	{13, "1000 idle followers: memory of host + plugins, redis", key{"followers", "redis: 1000 idle followers: memory", megabyte}, false, 40},
	{13, "1000 idle followers: CPU of host + plugins, redis", key{"followers", "redis: 1000 idle followers: CPU", percent}, false, 1},
	{14, "start until /readyz is 200, memory", key{"start", "memory: until ready", ms}, false, 500},
	{14, "start until /readyz is 200, redis", key{"start", "redis: until ready", ms}, false, 500},
	{15, "search 100,000 lines for a text that none has, memory", key{"search", "memory: a text", ms}, false, 60},
	{15, "search 100,000 lines for a text that none has, redis", key{"search", "redis: a text", ms}, false, 200},
	{16, "the same in any case ÷ row 15, memory", key{"search", "memory: a text in any case ÷ a text", ratio}, false, 3},
	{16, "the same in any case ÷ row 15, redis", key{"search", "redis: a text in any case ÷ a text", ratio}, false, 3},
	{16, "search for a regular expression without a literal, memory", key{"search", "memory: no literal", mbPerSec}, true, 40},
	{16, "search for a regular expression without a literal, redis", key{"search", "redis: no literal", mbPerSec}, true, 40},
	{16, "CPU of host + plugins for an expression that costs too much, memory", key{"search", "memory: too expensive", cpuOne}, false, 2},
	{16, "CPU of host + plugins for an expression that costs too much, redis", key{"search", "redis: too expensive", cpuOne}, false, 2},
	{17, "since=1m: 1,000 lines of 100,000, memory", key{"search", "memory: the newest minute", ms}, false, 10},
	{17, "since=1m: 1,000 lines of 100,000, redis", key{"search", "redis: the newest minute", ms}, false, 20},
	{18, "all of 500,000 lines, redis: peak memory of host + storage plugin", key{"wide", "redis: peak of host + storage plugin", megabyte}, false, 150},
	{19, "drain, redis, 2 hosts of one channel ÷ 1 host", key{"hosts", "redis: 2 hosts ÷ 1 host", ratio}, true, 0.9},
	{20, "publish → follower p99, 10,000 of 100 apps, memory", key{"crowd", "memory: p99", ms}, false, 300},
	{20, "publish → follower p99, 10,000 of 100 apps, redis", key{"crowd", "redis: p99", ms}, false, 300},
	{20, "10,000 followers of 100 apps: peak memory of host + plugins, memory", key{"crowd", "memory: peak of host + plugins", megabyte}, false, 350},
	{20, "10,000 followers of 100 apps: peak memory of host + plugins, redis", key{"crowd", "redis: peak of host + plugins", megabyte}, false, 350},
	{21, "histogram of an hour of 100 apps × 1,000 lines, memory", key{"loki", "memory: histogram of an hour", ms}, false, 150},
	{21, "histogram of an hour of 100 apps × 1,000 lines, redis", key{"loki", "redis: histogram of an hour", ms}, false, 150},
	{22, "CPU of 50 live tails of /loki ÷ 50 followers, memory", key{"loki", "memory: CPU of 50 live tails ÷ followers", ratio}, false, 1.15},
	{22, "CPU of 50 live tails of /loki ÷ 50 followers, redis", key{"loki", "redis: CPU of 50 live tails ÷ followers", ratio}, false, 1.15},
}

// verdict holds a target and its measured value.
type verdict struct {
	Row      int    `json:"row"`
	Measure  string `json:"measure"`
	Target   string `json:"target"`
	Measured number `json:"measured"`
	Unit     string `json:"unit"`
	Pass     bool   `json:"pass"`
}

// judge compares the figures with the targets. It leaves out targets that were not measured.
func judge(targets []target, all []figure) []verdict {
	var out []verdict
	for _, t := range targets {
		for _, f := range all {
			if f.key == t.figure {
				out = append(out, t.judge(float64(f.Median)))
			}
		}
	}
	return out
}

func (t target) judge(value float64) verdict {
	sign, pass := "≤", value <= t.limit // neither holds for NaN
	if t.atLeast {
		sign, pass = "≥", value >= t.limit
	}
	return verdict{
		Row: t.row, Measure: t.text, Target: fmt.Sprintf("%s %s %s", sign, number(t.limit), t.figure.Unit),
		Measured: number(value), Unit: t.figure.Unit, Pass: pass,
	}
}
