// Package image tests the default image. buildah builds it as `make build` does. The tests run it
// from its own root file system, read-only and as its own user.
package image
