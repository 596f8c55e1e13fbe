#!/usr/bin/env bash
# Prints the components of these programs as CycloneDX JSON: sbom.sh VERSION PROGRAM...
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
shift
CGO_ENABLED=0 GOOS='' GOARCH='' "${GO:-go}" -C tools/sbom build -o ../../build/ .
build/sbom "$version" "$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)" host/page/assets/vendor "$@"
