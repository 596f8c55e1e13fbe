package sdk

import (
	"math"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
)

// The newest and the oldest version of the contract that this SDK speaks, on either side. Version 1
// is the v1 of logger.plugin.v1. A release that adds a version keeps the one before it.
const (
	ProtocolVersion       = 1
	OldestProtocolVersion = 1
)

// Protocols lists the versions of the contract that this SDK speaks, the newest first.
// A host offers them all and the plugin chooses the newest that it speaks too.
func Protocols() []int {
	var versions []int
	for v := ProtocolVersion; v >= OldestProtocolVersion; v-- {
		versions = append(versions, v)
	}
	return versions
}

// Handshake returns what host and plugins tell each other first. The cookie keeps
// people from running a plugin by hand; it is no secret.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   "LOGGER_PLUGIN",
		MagicCookieValue: "deis-logger-plugin",
	}
}

// Inherited lists the variables that a plugin process gets from the host's own environment: those
// that language runtimes need.
func Inherited() []string {
	return []string{
		"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
		"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR",
	}
}

// LifelineEnv names the variable that tells a plugin process the number of a file descriptor, the
// read end of a pipe. At the pipe's end-of-file the host is gone, and the plugin exits.
const LifelineEnv = "LOGGER_PLUGIN_LIFELINE_FD"

// Sizes of the transport, for both sides. A round trip costs far more than the
// bytes it carries, so windows and buffers are sized for large batches.
const (
	maxMessageBytes = math.MaxInt32
	streamWindow    = 8 << 20
	connWindow      = 16 << 20
	bufferBytes     = 256 << 10
)

// streamWorkers is the number of goroutines that wait for calls. A new goroutine begins with a
// small stack, and copies it several times as it grows: a tenth of the time of a call after a
// pause. While all workers are busy, with calls or with tails, a call gets a new goroutine.
const streamWorkers = 4

// DialOptions returns what a host passes to gRPC to talk to a plugin.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		experimental.WithBufferPool(buffers),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
	}
}

// ServerOptions returns the gRPC options of a plugin's side. ServeStorage and ServeAggregator use
// them; any other server of a plugin needs them too.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.ForceServerCodecV2(wireCodec),
		experimental.BufferPool(buffers),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.NumStreamWorkers(streamWorkers),
	}
}
