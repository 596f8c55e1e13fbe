// Package access decides which requests are admitted: by a bearer token from a file, by the signed
// token of a session, and by the host name in the request.
package access
