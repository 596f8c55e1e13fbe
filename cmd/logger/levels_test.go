package main

import (
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestMoreVerbose(t *testing.T) {
	for _, tc := range []struct{ level, configured, want hclog.Level }{
		{hclog.Info, hclog.Info, hclog.Debug},
		{hclog.Debug, hclog.Info, hclog.Trace},
		{hclog.Trace, hclog.Info, hclog.Info},
		{hclog.Error, hclog.Error, hclog.Warn},
		{hclog.Trace, hclog.Error, hclog.Error},
		{hclog.Trace, hclog.Trace, hclog.Trace},
	} {
		if got := moreVerbose(tc.level, tc.configured); got != tc.want {
			t.Errorf("from %s, configured %s: %s, want %s", tc.level, tc.configured, got, tc.want)
		}
	}
}
