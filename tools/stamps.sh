#!/usr/bin/env bash
# Prints the linker's flags that tell a program its version, its commit and that commit's date:
# stamps.sh VERSION. Without Git's history there is the version alone. Go's own record of the commit
# depends on which tags a clone has.
set -euo pipefail
cd "$(dirname "$0")/.."
export TZ=UTC
git log -1 --format="-X main.version=$1 -X main.commit=%H -X main.date=%cd" --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null ||
	echo "-X main.version=$1"
