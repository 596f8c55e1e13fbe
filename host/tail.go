package host

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/access"
	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// sessionKeyBytes is the least length of a signing key.
const sessionKeyBytes = 32

// tail makes the hub and the options of /v1.
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
	if o.PublicURL, err = publicURL(opts.PublicURL); err != nil {
		return nil, o, fmt.Errorf("LOGGER_PUBLIC_URL=%.80q: %w", opts.PublicURL, err)
	}
	return hub, o, nil
}

// guard makes the guard that admits requests.
func guard(opts Options, logger hclog.Logger) (g access.Guard, err error) {
	if g.Hosts, err = access.ParseHosts(opts.AllowedHosts); err != nil {
		return g, fmt.Errorf("LOGGER_ALLOWED_HOSTS: %w", err)
	}
	if g.LogsAskToken = opts.LogsAskToken; g.LogsAskToken {
		if opts.TokensFile == "" {
			return g, sdk.Refusef("LOGGER_LOGS_ASK_TOKEN=true: want LOGGER_API_TOKENS_FILE too")
		}
		logger.Warn("/logs asks for a token: the platform's controller sends none, so it can neither read nor delete logs", "setting", "LOGGER_LOGS_ASK_TOKEN")
	}
	if opts.TokensFile != "" {
		if g.Tokens, err = access.Open(opts.TokensFile, logger); err != nil {
			return g, fmt.Errorf("LOGGER_API_TOKENS_FILE=%.80q: %w", opts.TokensFile, err)
		}
	}
	return g, nil
}

// publicURL checks the URL by which clients reach the logger.
func publicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", sdk.Refusef("want a URL such as https://example.com/logger, without a query")
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimRight(text, "/"), "/v1"), "/"), nil
}

// sessionKey reads the key, or makes a random one.
func sessionKey(path string) ([]byte, error) {
	if path == "" {
		key := make([]byte, sessionKeyBytes)
		_, _ = rand.Read(key) // never fails
		return key, nil
	}
	key, err := access.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if key = bytes.TrimSpace(key); len(key) < sessionKeyBytes {
		return nil, sdk.Refusef("the key has %d bytes, want at least %d", len(key), sessionKeyBytes)
	}
	return key, nil
}
