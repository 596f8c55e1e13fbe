// Command conformance runs the conformance suites of all plugins and prints what came of each
// check: go run ./internal/conformance >docs/plugins/conformance.md (make conformance-report). It
// runs from the root of the repository, and needs what the tests need and bin/logger. It fails when
// a check does, after it has printed everything.
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
