#!/usr/bin/env bash
# Runs every fuzz target for the given time. By default, go test may spend a minute on minimising
# one input. Meanwhile it tries nothing else, and fails if the given time ends before.
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
	for target in $(grep -h --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/func //'); do
		echo "== $dir $target"
		go -C "$dir" test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 100x .
	done
done
