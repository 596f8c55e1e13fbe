#!/usr/bin/env bash
# Prints the licences of everything in a release's programs, for all platforms, to be written to
# image/THIRD_PARTY_LICENSES. It fails if a module has no licence.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
export CGO_ENABLED=0 LC_ALL=C

# modules prints path, version and folder of each module, and the folder of each of its packages.
modules() {
	local format='{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{"\n"}}{{.Path}} {{.Version}} {{$.Dir}}{{end}}{{end}}'
	for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
		export GOOS=${platform%/*} GOARCH=${platform#*/}
		"$go" list -deps -tags grpcnotrace -f "$format" ./cmd/logger ./cmd/logger-bundled ./cmd/logger-nsqd
		# No program contains tools/roots, but the image contains the list that it makes.
		(cd tools/roots && "$go" list -deps -f "$format" .)
	done | sort -u
}

# texts prints the files of a folder that contain its licence: some have it in a README.
texts() {
	find "$1" -maxdepth 1 -type f | grep -iE '/(licen[cs]e|copying|notice|patents)[^/]*$' | grep -vE '\.go$' | sort ||
		grep -lF 'Permission is hereby granted' "$1"/README* 2>/dev/null || true
}

list=$(modules)
cat <<'EOF'
The programs of a release hold code of others: of the modules below, of Go itself, and, at the end, of
the packages of npm that the page is made with. Their licences follow. Whoever wants the source of a
module gets what was built, unchanged, by "go mod download MODULE@VERSION", and that of a package by
"npm pack NAME@VERSION"; the source of all else is at https://github.com/deis/logger.
EOF
before='' found=''
while read -r path version dir; do
	if [ "$path" != "$before" ]; then
		[ -z "$before" ] || [ -n "$found" ] || { echo "licenses.sh: $before comes without a licence" >&2; exit 1; }
		before=$path found=''
		printf '\n%s\n%s %s\n' "$(printf '=%.0s' {1..80})" "$path" "$version"
	fi
	while read -r file; do
		sum=$(cksum <"$file")
		[[ $found != *"<$sum>"* ]] || continue
		found+="<$sum>"
		printf '\n--- %s\n\n' "${file##*/}"
		tr -d '\r' <"$file"
	done < <(texts "$dir")
done <<<"$list
Go itself $("$go" env GOROOT)"
[ -n "$found" ] || { echo "licenses.sh: $before comes without a licence" >&2; exit 1; }

# The page's libraries are in the host's program.
for file in host/page/assets/vendor/LICENSE.*; do
	printf '\n%s\n' "$(printf '=%.0s' {1..80})"
	cat "$file"
done
