// Package listen accepts the connections of the HTTP API. It bounds their number, ends those whose
// client vanished silently, and answers requests that net/http cannot read.
package listen
