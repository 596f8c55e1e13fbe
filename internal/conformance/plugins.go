package main

// plugin is one whose suites are run, and suites are the commands that do so.
type plugin struct {
	kind, name string
	language   string
	note       string // what else there is to say
	suites     []suite
}

func (p plugin) String() string { return p.kind + "-" + p.name }

// inGo are the tests in which a package in Go runs its suites.
const inGo = `^TestConformance(Remote|Executable|Faults)?$`

// elsewhere returns the suite of a storage that no host has started.
func elsewhere(name string) suite {
	return suite{dir: ".", test: "^TestConformanceElsewhere$/^" + name + "$", pkg: "./e2e"}
}

// plugins are all that come with logger, and the examples: TestReportHasEveryPlugin. A plugin in Go
// is a package that calls its suites from tests of these names. Another is built, and checked by
// "logger plugins check".
var plugins = []plugin{
	{kind: "storage", name: "memory", language: "Go", suites: []suite{{dir: ".", test: inGo, pkg: "./plugins/memory"}, elsewhere("memory")}},
	{kind: "storage", name: "redis", language: "Go", note: "in its process also on a Redis Cluster of three masters", suites: []suite{
		{dir: ".", test: `^TestConformance(Remote|Executable|OnCluster|Faults)?$`, pkg: "./plugins/redis"}, elsewhere("redis"),
	}},
	{kind: "storage", name: "sqlite", language: "Go", suites: []suite{{dir: "examples/storage-sqlite", test: inGo, pkg: "."}}},
	{kind: "storage", name: "postgres", language: "Go", suites: []suite{{dir: "examples/storage-postgres", test: inGo, pkg: "."}, elsewhere("postgres")}},
	{kind: "storage", name: "node", language: "JavaScript", suites: []suite{{
		dir: "examples/storage-node", build: "npm ci --ignore-scripts --no-audit --no-fund && npm run build", program: "dist/logger-storage-node",
	}}},
	{kind: "storage", name: "python", language: "Python", suites: []suite{{dir: "examples/storage-python", build: "make", program: "dist/logger-storage-python"}}},
	{kind: "aggregator", name: "nsq", language: "Go", suites: []suite{{dir: ".", test: inGo, pkg: "./plugins/nsq"}}},
	{kind: "aggregator", name: "http", language: "Go", suites: []suite{{dir: ".", test: inGo, pkg: "./examples/aggregator-http"}}},
	{kind: "aggregator", name: "syslog", language: "Go", suites: []suite{{dir: "examples/aggregator-syslog", test: inGo, pkg: "."}}},
}

// mode is a way in which a suite runs.
type mode struct{ letter, name string }

// modes are the suites' ways, by the end of the test's name. A test that runs a suite in one of
// them under other conditions counts for it.
var (
	direct   = mode{"D", "in its process"}
	remote   = mode{"R", "over gRPC"}
	program  = mode{"P", "as a program"}
	apart    = mode{"E", "elsewhere"}
	allModes = []mode{direct, remote, program, apart}

	modes = map[string]mode{
		"TestConformance": direct, "TestConformanceOnCluster": direct, "TestConformanceFaults": direct,
		"TestConformanceRemote": remote, "TestConformanceExecutable": program, "TestConformanceElsewhere": apart,
	}
)
