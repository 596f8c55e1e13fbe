#!/usr/bin/env bash
# Builds the programs of a release: programs.sh FOLDER OS ARCH VERSION makes FOLDER/logger and
# FOLDER/plugins/*. The same commit gives the same bytes, with no paths of this machine.
set -euo pipefail
folder=$1 os=$2 arch=$3 version=$4
go=${GO:-go}
export CGO_ENABLED=0 GOOS=$os GOARCH=$arch
# grpcnotrace leaves out a debugging page with its HTML templates, which saves 2 MB.
build=("$go" build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -buildid= $(tools/stamps.sh "$version")")
mkdir -p "$folder/plugins"
"${build[@]}" -o "$folder/logger" ./cmd/logger
# One program under three names: see its comment.
"${build[@]}" -o "$folder/plugins/logger-storage-memory" ./cmd/logger-bundled
for plugin in storage-redis aggregator-nsq; do
	ln -f "$folder/plugins/logger-storage-memory" "$folder/plugins/logger-$plugin"
done
# The queue of "logger dev"; the image does not contain it.
[ -z "${WITH_QUEUE:-}" ] || "${build[@]}" -o "$folder/logger-nsqd" ./cmd/logger-nsqd
