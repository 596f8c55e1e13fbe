package e2e

import (
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
	"github.com/deis/logger/sdk/storagetest"
)

// TestConformanceElsewhere runs the storage suite on plugins that no host has started. Each check
// has a process of its own, which serves at an address.
func TestConformanceElsewhere(t *testing.T) {
	asked := plugintest.Without("Check", "asked before each other check")
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
			return openElsewhere(t, harness.Binary("plugins/logger-storage-memory"), lines, nil)
		}, asked)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t)
		storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
			redis.MustDo("FLUSHALL")
			host, port, err := net.SplitHostPort(redis.Addr)
			if err != nil {
				t.Fatal(err)
			}
			return openElsewhere(t, harness.Binary("plugins/logger-storage-redis"), lines, map[string]string{
				"DEIS_LOGGER_REDIS_SERVICE_HOST": host, "DEIS_LOGGER_REDIS_SERVICE_PORT": port,
			})
		}, asked)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		postgres, path := harness.StartPostgres(t), harness.BuildExample(t, "storage-postgres", t.TempDir())
		var schemas atomic.Int64
		storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
			return openElsewhere(t, path, lines, postgres.Settings("s"+strconv.FormatInt(schemas.Add(1), 10)))
		}, asked)
	})
}

// openElsewhere starts the plugin at an address of its own and returns the storage behind it.
func openElsewhere(t *testing.T, path string, lines int, settings map[string]string) sdk.Storage {
	t.Helper()
	address := "unix://" + filepath.Join(harness.RunDir(t), "s")
	harness.ServeElsewhere(t, path, address)
	conn, err := grpc.NewClient(address, append(sdk.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	plugin := sdk.NewPluginClient(conn)
	description, err := plugin.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, s := range description.Settings {
		value, err := s.Value(func(env string) (string, bool) {
			if env == "NUMBER_OF_LINES" {
				return strconv.Itoa(lines), true
			}
			value, ok := settings[env]
			return value, ok
		})
		if err != nil {
			t.Fatal(err)
		}
		values[s.Env] = value
	}
	if _, err := plugin.Configure(t.Context(), sdk.Configuration{Values: values, LogLevel: "info"}); err != nil {
		t.Fatal(err)
	}
	testwait.NoError(t, func() error { return plugin.Check(t.Context()) })
	return sdk.NewRemoteStorage(conn)
}
