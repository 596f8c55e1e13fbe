#!/usr/bin/env bash
# Makes a release of this commit in dist: release.sh VERSION IMAGE. docs/releasing.md says when and how.
# TESTED=COMMIT states that "make lint" and "make test" passed for this commit; otherwise they run here.
# WITHOUT_IMAGE=1 leaves out the image, for machines with neither buildah nor podman.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1 image=$2:$1
fail() {
	echo "release.sh: $1" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
buf() { go tool -modfile=tools/buf/go.mod buf "$@"; }
helm() { go tool -modfile=tools/helm/go.mod helm "$@"; }

# These checks come before anything is built.
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "VERSION=$version: want one such as 0.1.0"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: see git status"
head=$(git rev-parse HEAD)
if tagged=$(git rev-parse --verify --quiet "v$version^{commit}"); then
	[ "$tagged" = "$head" ] || fail "the tag v$version is of $tagged, and this is $head"
fi
notes=$(awk -v heading="## $version - " 'index($0, heading) == 1 { found = 1; print; next } /^## / { found = 0 } found' CHANGELOG.md)
[[ $notes =~ ^"## $version - "[0-9]{4}-[0-9]{2}-[0-9]{2}$'\n' ]] || fail "CHANGELOG.md has no section \"## $version - DATE\""
for field in "version: $version" "appVersion: \"$version\""; do
	grep -qxF "$field" charts/logger/Chart.yaml || fail "charts/logger/Chart.yaml does not say $field"
done
builder=${BUILDER:-$(command -v buildah || command -v podman || true)}
[ -n "$builder" ] || [ -n "${WITHOUT_IMAGE:-}" ] ||
	fail "the image needs buildah or podman, and neither is there; WITHOUT_IMAGE=1 makes the rest"

# The contract that this release freezes has to be committed, and compatible with the last release.
buf build -o "$work/contract.binpb" --exclude-source-info
cmp -s "$work/contract.binpb" tools/buf/released.binpb ||
	fail "tools/buf/released.binpb is not this contract: run make released and commit it"
if last=$(git describe --tags --abbrev=0 --match 'v*' --exclude "v$version" 2>/dev/null); then
	git show "$last:tools/buf/released.binpb" >"$work/last.binpb"
	buf breaking --against "$work/last.binpb"
	gone=$(git show "$last:sdk/testdata/api.txt" | grep -vxFf sdk/testdata/api.txt || true)
	[ -z "$gone" ] || fail "these names of the SDK in $last are gone, or changed:"$'\n'"$gone"
else
	echo "there is no earlier release that the plugin contract could break" >&2
fi

if [ -z "${TESTED:-}" ]; then
	make lint test
elif [ "$TESTED" != "$head" ]; then
	fail "TESTED=$TESTED: this is $head"
fi

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C
# pack PARENT FOLDER prints the folder as an archive whose bytes depend only on the files.
pack() {
	tar -C "$1" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--mode=u+rw,go-w,go+rX -cf - "$2"
}
rm -rf dist
mkdir dist
printf '%s\n' "$notes" >dist/RELEASE_NOTES.md
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	name=logger_${version}_${platform/\//_}
	WITH_QUEUE=1 tools/programs.sh "$work/$name" "${platform%/*}" "${platform#*/}" "$version"
	tools/sbom.sh "$version" "$work/$name"/{logger,logger-nsqd,plugins/*} >"$work/$name/sbom.cdx.json"
	cp README.md CHANGELOG.md LICENSE image/THIRD_PARTY_LICENSES "$work/$name/"
	pack "$work" "$name" | gzip -9n >"dist/$name.tar.gz"
done

# Helm writes the time of packing into the archive.
helm package charts/logger -d "$work" >/dev/null
mkdir "$work/chart"
tar -C "$work/chart" -xmzf "$work/logger-$version.tgz"
pack "$work/chart" logger | gzip -9n >"dist/logger-$version.tgz"
helm lint --quiet --strict "dist/logger-$version.tgz"

if [ -z "${WITHOUT_IMAGE:-}" ]; then
	export BUILDER=${builder##*/}
	VERSION=$version PLATFORMS='linux/amd64 linux/arm64' tools/image.sh build "$image"
	"$builder" manifest push --quiet --all "$image" "oci:$work/image:$version"
	pack "$work/image" . >"dist/logger_${version}_image.oci.tar"
else
	echo "no image was made" >&2
fi
(cd dist && sha256sum -- logger* | tee SHA256SUMS)
