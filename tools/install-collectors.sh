#!/usr/bin/env bash
# Unpacks rsyslog and syslog-ng into build/collectors, for the tests that run them. Installed as
# packages, they would exclude each other and take over this machine's log. So only missing
# libraries that they need are installed, and no package is upgraded.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$PWD/build/collectors
packages=(rsyslog syslog-ng-core syslog-ng-mod-http)
if [ -x "$dir/usr/sbin/rsyslogd" ] && [ -x "$dir/usr/sbin/syslog-ng" ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
	echo "unpack ${packages[*]} into $dir with your system's package manager, then run this again" >&2
	exit 1
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
mapfile -t libraries < <(apt-cache depends "${packages[@]}" | sed -n 's/^ *Depends: \(lib.*\)/\1/p' | sort -u)
missing=()
for library in "${libraries[@]}"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$library" 2>/dev/null | grep -qx installed || missing+=("$library")
done
[ ${#missing[@]} = 0 ] || "${sudo[@]}" apt-get install -y -qq --no-install-recommends --no-upgrade "${missing[@]}"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
chmod 755 "$unpacked"
(cd "$unpacked" && apt-get download -qq "${packages[@]}")
mkdir -p "$dir"
for package in "$unpacked"/*.deb; do dpkg -x "$package" "$dir"; done
