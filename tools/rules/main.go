// Command rules checks files of alert rules with Prometheus's own parser.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	failed := false
	for _, file := range os.Args[1:] {
		_, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		for _, err := range errs {
			failed = true
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if failed || len(os.Args) == 1 {
		os.Exit(1)
	}
}
