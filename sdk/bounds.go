package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/deis/logger/sdk/pluginpb"
)

// Bounds of what a plugin sends, so that no plugin decides how much memory a host takes. A host
// refuses what exceeds them, with [ErrContract], before it allocates memory for it.
const (
	// maxPageBytes and maxPageEntries bound a page. The plugin's side cuts pages at pageBytes; only
	// a page of one entry may be larger.
	maxPageBytes   = 8 << 20
	maxPageEntries = 1 << 17
	// maxAppsBytes bounds one list of apps, and appBytes the share of each app that was asked for.
	maxAppsBytes = 2 << 20
	appBytes     = 1 << 10
	// maxBatchBytes and maxBatchMessages bound a batch of an aggregator.
	maxBatchBytes    = 64 << 20
	maxBatchMessages = 1 << 16
	// maxMetricsBytes bounds a plugin's own metrics.
	maxMetricsBytes = 256 << 10
	// maxAnswerBytes bounds all other answers.
	maxAnswerBytes = 1 << 20
	// maxHeaderBytes bounds the headers of an answer, which hold the text of an error.
	maxHeaderBytes = 64 << 10
)

// answerBytes returns the size of the largest answer to a call that a host accepts.
func answerBytes(method string) int {
	switch method {
	case pluginpb.StorageService_Read_FullMethodName, pluginpb.StorageService_Follow_FullMethodName:
		return maxPageBytes
	case pluginpb.StorageService_Apps_FullMethodName:
		return maxAppsBytes
	case pluginpb.AggregatorService_Run_FullMethodName:
		return maxBatchBytes
	case pluginpb.PluginService_Metrics_FullMethodName:
		return maxMetricsBytes
	default:
		return maxAnswerBytes
	}
}

// bounded adds the bound of a call's answers to its options, unless they have one.
func bounded(method string, opts []grpc.CallOption) []grpc.CallOption {
	return append([]grpc.CallOption{grpc.MaxCallRecvMsgSize(answerBytes(method))}, opts...)
}

// appsBytes bounds the size of a list of at most limit apps.
func appsBytes(limit int64) grpc.CallOption {
	if limit <= 0 || limit > maxAppsBytes/appBytes {
		return grpc.MaxCallRecvMsgSize(maxAppsBytes)
	}
	return grpc.MaxCallRecvMsgSize(int(limit) * appBytes)
}

// tooLarge reports whether gRPC refused an answer for its size. If the plugin itself answered with
// that code, there is a trailer.
func tooLarge(ctx context.Context, err error, trailer metadata.MD) bool {
	return len(trailer) == 0 && ctx.Err() == nil && status.Code(err) == codes.ResourceExhausted
}

// Breach makes an error that wraps [ErrContract]. Its Error is the formatted text, without
// that of the wrapped error.
func Breach(format string, args ...any) error {
	return &taggedError{text: fmt.Sprintf(format, args...), sentinel: ErrContract}
}

// atMost returns an error if n is above most.
func atMost(n, most int, of string) error {
	if n > most {
		return Breach("%d %s where at most %d may be", n, of, most)
	}
	return nil
}
