// Package client is a client of the logger's /v1 API: which apps have logs, what is
// kept of one, and a live tail that goes on across connections without losing or
// repeating a line.
package client
