// Package page serves the page on which people read and follow logs in a browser. Its files are
// embedded. The page reads everything that it shows from /v1 of the same host.
package page
