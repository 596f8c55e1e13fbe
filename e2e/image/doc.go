// Package image tests the default image: built as `make build` does, by buildah, and run
// from its own root file system, read-only, as its own user.
package image
