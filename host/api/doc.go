// Package api serves the host's HTTP: the controller's /logs, health and metrics. It also mounts
// /v1, Loki's read API and the page for browsers.
package api
