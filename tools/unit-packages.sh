#!/usr/bin/env bash
# Lists the packages whose tests need no root, no network and no program but Go and a shell. It
# leaves out those that use a real redis-server, the chart or the built programs (bench too), and
# the conformance suites' own tests, which start a plugin for each of many checks.
set -euo pipefail
cd "$(dirname "$0")/.."
go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
	grep -vE 'internal/(redistest|charttest)|/e2e|^[^ ]*/bench |^[^ ]*/sdk/(storage|aggregator)test ' |
	cut -d' ' -f1 |
	sort -r # plugins/nsq waits longest, so it begins early
