#!/usr/bin/env bash
# Checks what a machine can check of how we write: prose and comments end at column 100, and the
# comment of a function begins with its name and a verb, not with "is" or "are".
set -euo pipefail
cd "$(dirname "$0")/.."
problems=$(
	git ls-files -z '*.md' | xargs -0 awk '
		FNR == 1 { code = 0 }
		/^ *```/ { code = !code }
		!code && length($0) > 100 && !/^ *\|/ && !/^    / && !/^\[[^]]*\]: / && !/^<!--/ {
			print FILENAME ":" FNR ": a line of " length($0) " characters, want at most 100"
		}'
	git ls-files -z '*.go' ':!sdk/pluginpb' | xargs -0 awk '
		FNR == 1 { name = ""; before = "" }
		/^\t*\/\/ / {
			text = $0
			gsub(/\t/, "    ", text)
			if (length(text) > 100 && !/\/\/go:|https?:/) print FILENAME ":" FNR ": a comment of " length(text) " columns, want at most 100"
		}
		/^\t*\/\/ [A-Za-z_][A-Za-z0-9_]* (is|are) / && before !~ /^\t*\/\// { name = $2; at = FNR }
		/^func / && name != "" {
			declared = $0
			sub(/^func (\([^)]*\) )?/, "", declared)
			sub(/[^A-Za-z0-9_].*/, "", declared)
			if (declared == name && name !~ /^(Test|Benchmark|Fuzz|Example)/) print FILENAME ":" at ": the comment of " name " begins with what it is, want what it does"
		}
		!/^\t*\/\// { name = "" }
		{ before = $0 }'
)
if [ -n "$problems" ]; then
	printf '%s\n' "$problems" >&2
	exit 1
fi
