#!/usr/bin/env bash
# Prepares the image's file system: rootfs.sh FOLDER ARCH VERSION. The same source gives the same
# bytes, with SOURCE_DATE_EPOCH as the only date and no paths of this machine.
set -euo pipefail
root=$1 arch=$2 version=$3
go=${GO:-go}
epoch=${SOURCE_DATE_EPOCH:?seconds since 1970 of the source that is built}
rm -rf "$root"
mkdir -p "$root"/opt/logger/sbin "$root"/etc/ssl/certs "$root"/run/logger "$root"/tmp
tools/programs.sh "$root/opt/logger" linux "$arch" "$version"
mv "$root/opt/logger/logger" "$root/opt/logger/sbin/"
(cd "$root/opt/logger/plugins" && sha256sum -- *) >"$root/opt/logger/plugins.sha256"
GOOS='' GOARCH='' "$go" -C tools/roots build -trimpath -buildvcs=false -o ../../build/ .
build/roots >"$root/etc/ssl/certs/ca-certificates.crt"
tools/sbom.sh "$version" "$root"/opt/logger/{sbin/logger,plugins/*} build/roots >"$root/opt/logger/sbom.cdx.json"
cp LICENSE image/THIRD_PARTY_LICENSES "$root/opt/logger/"
echo 'logger:x:10001:10001:logger:/:' >"$root/etc/passwd"
echo 'logger:x:10001:' >"$root/etc/group"
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f -exec chmod 644 {} +
chmod 755 "$root"/opt/logger/sbin/* "$root"/opt/logger/plugins/*
chmod 1777 "$root/tmp" "$root/run/logger" # a tmpfs belongs there; see docs/operations.md
find "$root" -exec touch -h -d "@$epoch" {} +
