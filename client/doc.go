// Package client is a client of the logger's /v1 API. It lists apps, reads, follows and
// deletes their logs, and goes on across lost connections without losing or repeating a line.
package client
