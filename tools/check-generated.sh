#!/usr/bin/env bash
# Fails if a generated file that is checked in differs from what its source generates.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
generated=(sdk/pluginpb/*.pb.go docs/plugins/protocol.md)
cp "${generated[@]}" "$before"
go tool -modfile=tools/buf/go.mod buf generate
for file in "${generated[@]}"; do
	if ! cmp -s "$file" "$before/$(basename "$file")"; then
		for changed in "${generated[@]}"; do cp "$before/$(basename "$changed")" "$changed"; done
		echo "$file is not what the .proto gives: run make proto and commit the result" >&2
		exit 1
	fi
done
tools/licenses.sh >"$before/THIRD_PARTY_LICENSES"
if ! cmp -s image/THIRD_PARTY_LICENSES "$before/THIRD_PARTY_LICENSES"; then
	echo "image/THIRD_PARTY_LICENSES is not what go.mod gives: run make licenses and commit the result" >&2
	exit 1
fi
go run ./internal/apidoc <host/api/v1/openapi.yaml >"$before/api.md"
if ! cmp -s docs/api.md "$before/api.md"; then
	echo "docs/api.md is not what host/api/v1/openapi.yaml gives: run make api and commit the result" >&2
	exit 1
fi
go run ./internal/configdoc >"$before/configuration.md"
if ! cmp -s docs/configuration.md "$before/configuration.md"; then
	echo "docs/configuration.md is not what the code gives: run make configuration and commit the result" >&2
	exit 1
fi
