// Command conformance runs the conformance suites of all plugins and prints the result of each
// check: go run ./internal/conformance >docs/plugins/conformance.md (make conformance-report). It
// runs in the root of the repository, and needs bin/logger and all that the tests need. If a check
// fails, the command still prints everything, and then fails.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code := 0
	all := results{}
	for _, p := range plugins {
		for _, s := range p.suites {
			fmt.Fprintf(os.Stderr, "%s: %s\n", p, s)
			if err := s.run(ctx, all.of(p)); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", p, err)
				code = 1
			}
		}
	}
	if ctx.Err() != nil {
		return 1
	}
	if all.failed() {
		code = 1
	}
	fmt.Print(document(all, versions(ctx)))
	return code
}
