// Package listen accepts the connections of the HTTP API. It bounds their number, ends those
// whose client is gone without a word, and answers requests that net/http cannot read.
package listen
