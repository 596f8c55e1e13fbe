#!/usr/bin/env bash
# Builds or pushes the image with docker, podman or buildah, whichever is there:
#
#   image.sh build IMAGE [MUTABLE_IMAGE]   for PLATFORMS (linux/amd64 linux/arm64: both, as one index)
#   image.sh push IMAGE [MUTABLE_IMAGE]
#
# BUILDER chooses one of them. VERSION is stamped into the programs. TLS_VERIFY=false lets podman
# and buildah push to a registry that uses plain HTTP or has an untrusted certificate; docker has
# insecure-registries for that.
set -euo pipefail
cd "$(dirname "$0")/.."
command=$1 image=$2 mutable=${3:-}
platforms=${PLATFORMS:-linux/$(go env GOARCH)}
version=${VERSION:?the version to stamp}
builder=${BUILDER:-}
for candidate in docker podman buildah; do
	if [ -z "$builder" ] && command -v "$candidate" >/dev/null; then
		# A docker client needs an engine.
		[ "$candidate" != docker ] || docker info >/dev/null 2>&1 || continue
		builder=$candidate
	fi
done
if [ -z "$builder" ]; then
	echo "image.sh: want docker (with its engine), podman or buildah: none is there" >&2
	exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
revision=$(git rev-parse HEAD)

build() {
	read -ra list <<<"${platforms//,/ }"
	if [ "$builder" != docker ]; then
		"$builder" manifest rm "$image" >/dev/null 2>&1 || "$builder" rmi -f "$image" >/dev/null 2>&1 || true
		[ ${#list[@]} = 1 ] || "$builder" manifest create "$image" >/dev/null
	elif [ ${#list[@]} != 1 ]; then
		echo "image.sh: docker builds one platform at a time here; use podman or buildah for $platforms" >&2
		exit 1
	fi
	for platform in "${list[@]}"; do
		arch=${platform#linux/}
		tools/rootfs.sh "build/rootfs-$arch" "$arch" "$version"
		args=(--platform "$platform" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" -f image/Dockerfile)
		target=(--tag "$image")
		[ ${#list[@]} = 1 ] || target=(--manifest "$image")
		case $builder in
		docker) docker build --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "${args[@]}" --tag "$image" "build/rootfs-$arch" ;;
		podman) podman build --timestamp "$SOURCE_DATE_EPOCH" "${args[@]}" "${target[@]}" "build/rootfs-$arch" ;;
		buildah) buildah bud --timestamp "$SOURCE_DATE_EPOCH" --layers=false "${args[@]}" "${target[@]}" "build/rootfs-$arch" ;;
		esac
	done
	if [ -n "$mutable" ]; then "$builder" tag "$image" "$mutable"; fi
	echo "$image"
}

push() {
	for name in "$image" $mutable; do
		case $builder in
		docker) docker push "$name" ;;
		*)
			if "$builder" manifest inspect "$name" >/dev/null 2>&1; then
				"$builder" manifest push --all --tls-verify="${TLS_VERIFY:-true}" "$name" "docker://$name"
			else
				"$builder" push --tls-verify="${TLS_VERIFY:-true}" "$name"
			fi
			;;
		esac
	done
}

"$command"
