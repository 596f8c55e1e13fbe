#!/usr/bin/env bash
# Installs what the tests need and Go does not bring: redis-server, a C compiler for the
# race detector, and clients of live tails: curl, and Chromium for EventSource. Only what
# is missing. Debian and its kin; elsewhere it says what to install.
set -euo pipefail
if ! command -v apt-get >/dev/null; then
	echo "install redis-server, gcc, curl and chromium with your system's package manager, then run this again" >&2
	exit 1
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v chromium >/dev/null || missing+=(chromium)
# policy-rc.d keeps the package from starting a server of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
	"${sudo[@]}" chmod +x $policy
	trap '"${sudo[@]}" rm -f $policy' EXIT
fi
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
