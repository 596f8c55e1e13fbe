#!/usr/bin/env bash
# Vendors the page's libraries from npm into host/page/assets/vendor, with their licences. Each is
# pinned by version and by the digest of its package. Imports by name become imports by file, since
# browsers resolve a name only by an import map, which the page's policy forbids.
# With --check, it changes nothing, and fails if the checked-in files differ.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v npm >/dev/null || tools/install-test-deps.sh
to=host/page/assets/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/vendor"

# fetch NAME VERSION DIGEST unpacks a package into $work/NAME.
fetch() {
	local file
	file=$(cd "$work" && npm pack --silent "$1@$2")
	local digest
	digest=$(openssl dgst -sha512 -binary "$work/$file" | base64 -w 0)
	[ "$digest" = "$3" ] || { echo "vendor-page.sh: $1@$2 has the digest $digest, want $3" >&2; exit 1; }
	mkdir -p "$work/$1"
	tar -xzf "$work/$file" -C "$work/$1" --strip-components=1
	local text=${1#@}
	{ printf '%s %s\n\n' "$1" "$2"; tr -d '\r' <"$work/$1/LICENSE"; } >"$work/vendor/LICENSE.${text//\//-}"
}

# take PATH NAME copies a module, except the line that names its source map.
take() {
	sed -e 's|//# sourceMappingURL=.*||' \
		-e 's|from"preact"|from"./preact.mjs"|g' \
		-e 's|from"preact/hooks"|from"./hooks.mjs"|g' \
		-e 's|from"@preact/signals-core"|from"./signals-core.mjs"|g' "$work/$1" >"$work/vendor/$2"
}

fetch preact 11.2.0 '/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg=='
fetch htm 3.1.1 '983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ=='
fetch @preact/signals-core 1.14.5 'vcRv7Ityz5JVmeiVqIluLFzT/PDS/AlhHUpw3/aUWqcVUs6bDGIPXE/6RSC4evBNWYvnniozg5Syfj33al3gkg=='
fetch @preact/signals 2.11.4 'Rb+5RPo9gWSaHtzJeauhHxiC8KP/IF2DEPkHPEOGOnuy2wnJzRqyeLRankUCYd6ADqtxS6GnWGv6Ie343d8aYw=='
take preact/dist/preact.mjs preact.mjs
take preact/hooks/dist/hooks.mjs hooks.mjs
take htm/dist/htm.mjs htm.mjs
take @preact/signals-core/dist/signals-core.mjs signals-core.mjs
take @preact/signals/dist/signals.mjs signals.mjs

if [ "${1:-}" = --check ]; then
	diff -r "$work/vendor" "$to" || { echo "$to is not what tools/vendor-page.sh makes: run it and commit the result" >&2; exit 1; }
	exit 0
fi
rm -rf "$to"
mv "$work/vendor" "$to"
