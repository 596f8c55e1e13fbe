#!/usr/bin/env bash
# Prints how long each package's tests took, the longest first, from the output of `make test` (or
# of any go test): test-times.sh [FILE]. Packages run concurrently, so the whole takes less than the
# sum.
set -euo pipefail
awk '
	($1 == "ok" || $1 == "FAIL") && $3 ~ /^[0-9.]+s$/ {
		seconds = substr($3, 1, length($3) - 1)
		sum += seconds
		printf "%8.1f s  %-4s  %s\n", seconds, $1, $2 | "sort -rn"
	}
	END {
		close("sort -rn")
		printf "%8.1f s  in all\n", sum
	}
' "${1:--}"
