// Package client is a client of the logger's /v1 API. It lists the apps that have logs, reads what
// is kept of one, and follows logs across lost connections without losing or repeating a line.
package client
