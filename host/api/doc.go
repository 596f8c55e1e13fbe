// Package api is the HTTP side of the host: the controller's /logs, health and
// metrics.
package api
