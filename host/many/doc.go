// Package many reads and follows several apps as one stream: it finds the apps that names and
// patterns select, merges their histories in the order of publishing, follows them all, and keeps
// one cursor for all of their places.
package many
