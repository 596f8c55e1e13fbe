#!/usr/bin/env bash
# Fails when the checked-in generated code, or the protocol's reference, is not what the .proto gives.
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
