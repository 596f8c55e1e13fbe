package main

// plugin names a plugin, and the commands that run its suites.
type plugin struct {
	kind, name string
	language   string
	note       string // anything else to say
	suites     []suite
}

func (p plugin) String() string { return p.kind + "-" + p.name }

// inGo matches the tests in which a Go package runs its suites.
const inGo = `^TestConformance(Remote|Executable|Faults)?$`

// elsewhere returns the suite of a storage that no host has started.
func elsewhere(name string) suite {
	return suite{dir: ".", test: "^TestConformanceElsewhere$/^" + name + "$", pkg: "./e2e"}
}

// plugins lists all plugins that come with logger, and the examples; TestReportHasEveryPlugin
// checks that. A plugin in Go has a package whose tests, with these names, call its suites. Other
// plugins are built, and checked by "logger plugins check".
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

// mode names a way in which a suite runs.
type mode struct{ letter, name string }

// modes maps the names of tests to modes. A test that runs a suite in a mode under other conditions
// also counts for that mode.
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
