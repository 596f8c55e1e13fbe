// Package charts tests what the Helm chart makes of its values. That these reach the
// processes that they are meant for is e2e's to show.
package charts
