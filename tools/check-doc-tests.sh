#!/usr/bin/env bash
# Fails if a document names a test that does not exist, in backticks or in a command after -run. If a
# package is named with the test (`host/read`: `TestX`, or `host/read` `TestX`, or in the command),
# the test has to be in that package. After -run, the beginning of a test's name suffices.
set -euo pipefail
cd "$(dirname "$0")/.."
name='(Test|Fuzz|Benchmark|Example)[A-Z][A-Za-z0-9_]*'
tests=$(git grep -oE "^func $name\(" -- '*_test.go' | sed -E 's|/[^/]*:func | |; s|\($||')
failed=0
while IFS=: read -r file line text; do
	test=$(sed -E 's/.*`([A-Za-z0-9_]+)[^`]*`$/\1/' <<<"$text")
	package=$(sed -nE 's/^`([^`]+)`:? `.*/\1/p' <<<"$text")
	grep -qE "^${package:-.*} $test$" <<<"$tests" && continue
	echo "$file:$line: there is no test $test${package:+ in $package}" >&2
	failed=1
done < <(git grep -noE "(\`[a-z0-9/]+\`:? )?\`$name(/[^\`]*)?\`" -- '*.md')
while IFS=: read -r file line text; do
	package=$(grep -oE '\./[a-z0-9/]+' <<<"$text" | head -n 1 | cut -c3- || true)
	for test in $(grep -oE -- "-run '?\^?$name[A-Za-z0-9_|^\$]*" <<<"$text" | grep -oE "$name"); do
		grep -qE "^${package:-.*}[^ ]* $test" <<<"$tests" && continue
		echo "$file:$line: there is no test $test${package:+ in $package}" >&2
		failed=1
	done
done < <(git grep -nE -- "-run '?\^?$name" -- '*.md')
exit $failed
