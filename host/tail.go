package host

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// sessionKeyBytes is the least length of a key that signs.
const sessionKeyBytes = 32

// tail makes the hub and what /v1 needs.
func tail(opts Options, storage *plugin.Storage, registry prometheus.Registerer, logger hclog.Logger) (*follow.Hub, v1.Options, error) {
	hub := follow.New(follow.Options{
		Storage: storage, Logger: logger.Named("tail"), Registry: registry, MaxFollowers: opts.MaxFollowers,
		BufferEntries: uint64(opts.BufferLines), BufferBytes: uint64(opts.BufferBytes), ReadTimeout: storageTimeout,
	})
	o := v1.Options{Storage: storage, Hub: hub}
	for origin := range strings.SplitSeq(opts.Origins, ",") {
		if origin = strings.TrimSpace(origin); origin != "" {
			o.Origins = append(o.Origins, origin)
		}
	}
	var err error
	if o.SessionKey, err = sessionKey(opts.SessionKeyFile); err != nil {
		return nil, o, fmt.Errorf("LOGGER_SESSION_KEY_FILE=%.80q: %w", opts.SessionKeyFile, err)
	}
	if opts.TokensFile != "" {
		if o.Tokens, err = v1.OpenTokens(opts.TokensFile, logger.Named("api")); err != nil {
			return nil, o, fmt.Errorf("LOGGER_API_TOKENS_FILE=%.80q: %w", opts.TokensFile, err)
		}
	}
	return hub, o, nil
}

// sessionKey reads the key, or makes one that nobody else has.
func sessionKey(path string) ([]byte, error) {
	if path == "" {
		key := make([]byte, sessionKeyBytes)
		_, _ = rand.Read(key) // never fails
		return key, nil
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if key = bytes.TrimSpace(key); len(key) < sessionKeyBytes {
		return nil, sdk.Refusef("the key has %d bytes, want at least %d", len(key), sessionKeyBytes)
	}
	return key, nil
}
