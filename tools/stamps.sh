#!/usr/bin/env bash
# Prints the linker's flags that stamp a program with its version, its commit and that commit's
# date: stamps.sh VERSION. Without Git's history, it prints only the version. Go's own record of the
# commit does not do, because it depends on the tags of the clone.
set -euo pipefail
cd "$(dirname "$0")/.."
export TZ=UTC
git log -1 --format="-X main.version=$1 -X main.commit=%H -X main.date=%cd" --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null ||
	echo "-X main.version=$1"
