package sdk

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// Kind says what a plugin does, as numbered in logger.plugin.v1.Kind.
type Kind uint8

// The kinds of plugins.
const (
	// StorageKind plugins serve [Storage].
	StorageKind Kind = 1
	// AggregatorKind plugins serve [Aggregator].
	AggregatorKind Kind = 2
)

// String returns the KIND in an executable's name, logger-KIND-NAME.
func (k Kind) String() string {
	switch k {
	case StorageKind:
		return "storage"
	case AggregatorKind:
		return "aggregator"
	default:
		return "unknown"
	}
}

// Description holds what a plugin says of itself.
type Description struct {
	Kind Kind
	Info
	Settings []Setting
}

// Capabilities say which optional calls a plugin serves.
type Capabilities struct {
	// Follow is set for a [Follower], Apps for an [AppLister], Versions for a [Versioner],
	// Queues for a [QueueLister], Metrics for an [Exposer].
	Follow, Apps, Versions, Queues, Metrics bool
}

// Configuration holds what a host gives a plugin at its start.
type Configuration struct {
	// Values are the texts of the declared settings, by environment name.
	Values map[string]string
	// StateDir is a private folder of the host's that outlives the plugin process.
	StateDir string
	// LogLevel is one of trace, debug, info, warn, error.
	LogLevel string
	// Inspect becomes [Host.Inspect]. Only plugins that are [Info.Inspectable] accept it.
	Inspect bool
}

// PluginClient makes the calls that every plugin serves. It is for hosts.
type PluginClient struct{ client pluginpb.PluginServiceClient }

// NewPluginClient makes a client of the plugin behind the connection, which stays
// the caller's.
func NewPluginClient(conn grpc.ClientConnInterface) *PluginClient {
	return &PluginClient{client: pluginpb.NewPluginServiceClient(conn)}
}

// Describe asks what the plugin is.
func (c *PluginClient) Describe(ctx context.Context) (Description, error) {
	resp, err := c.client.Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return Description{}, fromStatus(ctx, err)
	}
	d := Description{
		Kind: Kind(resp.GetKind()),
		Info: Info{Name: resp.GetName(), Version: resp.GetVersion(), Doc: resp.GetDoc(), Inspectable: resp.GetInspectable()},
	}
	for _, s := range resp.GetSettings() {
		d.Settings = append(d.Settings, settingFromWire(s))
	}
	return d, nil
}

// Configure hands over the settings and opens the implementation.
func (c *PluginClient) Configure(ctx context.Context, conf Configuration) (Capabilities, error) {
	resp, err := c.client.Configure(ctx, &pluginpb.ConfigureRequest{
		Settings: conf.Values, StateDir: conf.StateDir, LogLevel: conf.LogLevel, Inspect: conf.Inspect,
	})
	if err != nil {
		return Capabilities{}, fromStatus(ctx, err)
	}
	return Capabilities{
		Follow:   slices.Contains(resp.GetCapabilities(), pluginpb.Capability_CAPABILITY_FOLLOW),
		Apps:     slices.Contains(resp.GetCapabilities(), pluginpb.Capability_CAPABILITY_APPS),
		Versions: slices.Contains(resp.GetCapabilities(), pluginpb.Capability_CAPABILITY_VERSIONS),
		Queues:   slices.Contains(resp.GetCapabilities(), pluginpb.Capability_CAPABILITY_QUEUES),
		Metrics:  slices.Contains(resp.GetCapabilities(), pluginpb.Capability_CAPABILITY_METRICS),
	}, nil
}

// SetLogLevel changes the least level that a configured plugin logs at. The level is as
// in [Configuration].
func (c *PluginClient) SetLogLevel(ctx context.Context, level string) error {
	_, err := c.client.Configure(ctx, &pluginpb.ConfigureRequest{LogLevel: level})
	return fromStatus(ctx, err)
}

// Check returns nil when the plugin can do its work. If the plugin answers that it cannot, the
// error is a [NotReadyError]. Any other error means that the plugin did not answer.
func (c *PluginClient) Check(ctx context.Context) error {
	resp, err := c.client.Check(ctx, &pluginpb.CheckRequest{})
	switch {
	case err != nil:
		return fromStatus(ctx, err)
	case !resp.GetReady():
		return &NotReadyError{Reason: OneLine(resp.GetReason())} // the plugin may have another SDK
	}
	return nil
}

// Shutdown asks the plugin to finish its calls and release what it holds.
func (c *PluginClient) Shutdown(ctx context.Context) error {
	_, err := c.client.Shutdown(ctx, &pluginpb.ShutdownRequest{})
	return fromStatus(ctx, err)
}

// NotReadyError reports that a plugin lives, but its backend does not serve. It wraps
// [ErrUnavailable].
type NotReadyError struct{ Reason string }

// Error returns the plugin's reason.
func (e *NotReadyError) Error() string { return e.Reason }

// Unwrap returns [ErrUnavailable].
func (e *NotReadyError) Unwrap() error { return ErrUnavailable }
