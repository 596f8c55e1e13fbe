// Package plugin finds, launches and supervises plugin processes.
//
// A [Catalog] finds executables. A [Supervisor] keeps one of them running: it launches it over
// HashiCorp go-plugin, hands over its settings, and watches it, by the exit of its process and by
// calls with a deadline. It replaces a process that dies or stops answering. [Storage] and
// [Aggregator] are the stable proxies that callers hold while processes come and go beneath them.
//
// go-plugin does the handshake, mutual TLS and the gRPC connection, and nothing else here.
// Processes, pipes, log lines and the end of a process are ours, since go-plugin's own ways of
// doing them can hang or panic the host (see docs/plugin-host.md).
package plugin
