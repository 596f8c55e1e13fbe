// Package access decides which requests are let in: by a bearer token of a file, by the
// signed token of a session, and by the host name that they are for.
package access
