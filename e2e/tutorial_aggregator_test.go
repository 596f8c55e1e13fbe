package e2e

import (
	"net"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

const tutorialOfAggregators = "../docs/plugins/aggregator-tutorial.md"

// TestTutorialOfAggregators follows the tutorial of aggregators, including the suites of
// aggregator-syslog.
func TestTutorialOfAggregators(t *testing.T) {
	t.Parallel() // it mostly waits
	host, port, err := net.SplitHostPort(harness.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	followTutorial(t, tutorialOfAggregators, pluginDir(t), syslogAt(host, port))
}

// syslogAt returns a replacer that puts this address in the place of the tutorial's.
func syslogAt(host, port string) *strings.Replacer {
	addr := net.JoinHostPort(host, port)
	return strings.NewReplacer(
		"export AGGREGATOR_TYPE=syslog\n", "export AGGREGATOR_TYPE=syslog SYSLOG_LISTEN=udp://"+addr+",tcp://"+addr+"\n",
		"--server 127.0.0.1 --port 5514", "--server "+host+" --port "+port,
	)
}
