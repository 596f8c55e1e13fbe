#!/usr/bin/env bash
# Puts the image's file system in order: rootfs.sh FOLDER ARCH VERSION. The same source
# gives the same bytes: no dates but SOURCE_DATE_EPOCH, no paths of this machine.
set -euo pipefail
root=$1 arch=$2 version=$3
go=${GO:-go}
epoch=${SOURCE_DATE_EPOCH:?seconds since 1970 of the source that is built}
rm -rf "$root"
mkdir -p "$root"/opt/logger/{sbin,plugins} "$root"/etc/ssl/certs "$root"/run/logger "$root"/tmp
export CGO_ENABLED=0 GOOS=linux GOARCH=$arch
# grpcnotrace leaves out a debugging page with its HTML templates, and 2 MB.
flags=(-trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -buildid= $(tools/stamps.sh "$version")")
"$go" build "${flags[@]}" -o "$root/opt/logger/sbin/logger" ./cmd/logger
# One program under three names: see its comment.
"$go" build "${flags[@]}" -o "$root/opt/logger/plugins/logger-storage-memory" ./cmd/logger-bundled
for plugin in storage-redis aggregator-nsq; do
	ln "$root/opt/logger/plugins/logger-storage-memory" "$root/opt/logger/plugins/logger-$plugin"
done
(cd "$root/opt/logger/plugins" && sha256sum -- *) >"$root/opt/logger/plugins.sha256"
(cd tools/roots && GOOS='' GOARCH='' "$go" run .) >"$root/etc/ssl/certs/ca-certificates.crt"
cp LICENSE image/THIRD_PARTY_LICENSES "$root/opt/logger/"
echo 'logger:x:10001:10001:logger:/:' >"$root/etc/passwd"
echo 'logger:x:10001:' >"$root/etc/group"
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f -exec chmod 644 {} +
chmod 755 "$root"/opt/logger/sbin/* "$root"/opt/logger/plugins/*
chmod 1777 "$root/tmp" "$root/run/logger" # a tmpfs belongs there; see docs/operations.md
find "$root" -exec touch -h -d "@$epoch" {} +
