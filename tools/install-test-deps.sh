#!/usr/bin/env bash
# Installs the programs that the tests need and Go does not bring, unless they are there: redis-
# server, a C compiler for the race detector, buildah for the image, qemu-user to run the image for
# arm64, Node.js with npm for examples/storage-node, Python's gRPC for examples/storage-python,
# PostgreSQL for examples/storage-postgres and pgrep for its tutorial, logger(1) to send syslog, and
# two clients of live tails: curl, and Chromium for EventSource. With the argument etcd, it installs
# etcd as well, for make chart-live. It installs on Debian and its relatives; elsewhere it tells
# what to install.
set -euo pipefail
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v buildah >/dev/null || missing+=(buildah)
command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
command -v node >/dev/null || missing+=(nodejs)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing+=(postgresql)
command -v pgrep >/dev/null || missing+=(procps)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v chromium >/dev/null || missing+=(chromium)
[ -x /usr/bin/logger ] || missing+=(bsdutils)
command -v make >/dev/null || missing+=(make)
command -v protoc >/dev/null || missing+=(protobuf-compiler)
/usr/bin/python3 -c 'import grpc, google.protobuf, cryptography' 2>/dev/null ||
	missing+=(python3-grpcio python3-protobuf python3-cryptography)
[ "${1:-}" != etcd ] || command -v etcd >/dev/null || missing+=(etcd-server)
if [ ${#missing[@]} = 0 ] && command -v npm >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null; then
	echo "install ${missing[*]} npm with your system's package manager, then run this again" >&2
	exit 1
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive
echo "installing what the tests need: ${missing[*]}" >&2
"${sudo[@]}" apt-get update -qq
# policy-rc.d keeps the package from starting a server of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
	"${sudo[@]}" chmod +x $policy
	trap '"${sudo[@]}" rm -f $policy' EXIT
fi
[ ${#missing[@]} = 0 ] || "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
# Only now: some nodejs packages bring npm, and conflict with Debian's npm.
command -v npm >/dev/null || "${sudo[@]}" apt-get install -y -qq --no-install-recommends npm
