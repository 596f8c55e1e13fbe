#!/usr/bin/env bash
# Compares the Go benchmarks of two commits with benchstat:
#   bench-compare.sh OLD NEW PACKAGES BENCH COUNT
# Each commit is checked out into a worktree of its own in a temporary folder, so the present tree
# is not touched. The commits' benchmarks take turns, round by round, so that other work of the
# machine affects both.
set -euo pipefail

old=${1:?which commit is the old one? make bench-compare OLD=rev NEW=rev}
new=$2 packages=$3 bench=$4 count=$5
go=${GO:-go}
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-compare-XXXXXX")

clean() {
	for side in old new; do
		git -C "$root" worktree remove --force "$work/$side" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

for side in old new; do
	commit=$(git -C "$root" rev-parse --verify --quiet "${!side}^{commit}") ||
		{ echo "bench-compare: ${!side}: no such commit" >&2; exit 1; }
	git -C "$root" worktree add --quiet --detach "$work/$side" "$commit"
done
for round in $(seq "$count"); do
	for side in old new; do
		echo "round $round of $count: $side (${!side})" >&2
		# shellcheck disable=SC2086 # several packages are several arguments
		(cd "$work/$side" && "$go" test -run '^$' -bench "$bench" -benchmem -count 1 -timeout 30m $packages) >>"$work/$side.txt" ||
			{ tail -20 "$work/$side.txt" >&2; echo "bench-compare: the benchmarks of ${!side} fail" >&2; exit 1; }
	done
done
grep -q '^Benchmark' "$work"/old.txt "$work"/new.txt ||
	{ echo "bench-compare: no benchmark of $packages matches $bench: want a name as in func Benchmark..., or ." >&2; exit 1; }
cd "$root"
"$go" tool -modfile=tools/go.mod benchstat "old=$work/old.txt" "new=$work/new.txt"
