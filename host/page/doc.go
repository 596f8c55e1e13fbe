// Package page serves the page on which people read and follow logs in a browser. The page is
// embedded, and reads everything that it shows from /v1 of the same host.
package page
