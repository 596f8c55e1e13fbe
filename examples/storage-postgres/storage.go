package main

import (
	"context"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deis/logger/sdk"
)

// Every call has a deadline of its own, which is shorter than the host's (docs/plugins/budgets.md).
// So a database that hangs is told in one line, and the host does not take the plugin for hung.
const (
	checkTimeout  = 750 * time.Millisecond // the host expects an answer within a second
	readTimeout   = 2 * time.Second        // the host waits 2.5 s
	deleteTimeout = 2 * time.Second        // likewise
	appendTimeout = 5 * time.Second        // the host waits 10 s
	dialTimeout   = 5 * time.Second        // calls that need the connection give up sooner
	closeTimeout  = 250 * time.Millisecond // the host waits 500 ms for the process to end
)

// storage implements sdk.Storage and all that is optional.
type storage struct {
	settings
	pool      *pgxpool.Pool
	name      string // the database, as an error calls it
	inspect   bool   // change nothing: another process of the plugin is at work
	slot      int    // of the totals
	schema    schema
	followers sdk.Followers
	measured

	stop   context.CancelFunc
	tended chan struct{} // closed after stop
}

var _ interface {
	sdk.Storage
	sdk.AppLister
	sdk.Checker
	sdk.Exposer
	sdk.Follower
	sdk.Versioner
} = (*storage)(nil)

// open makes the storage. It connects to nothing: the database may be away while the host starts,
// and Check is what says so. Only what can never work is an error here.
func open(_ context.Context, set settings, host sdk.Host) (sdk.Storage, error) {
	// POSTGRES_URL is shown to whoever asks for the settings.
	if u, err := url.Parse(set.URL); err == nil {
		if _, has := u.User.Password(); has || u.Query().Has("password") {
			return nil, sdk.Refusef("POSTGRES_URL has a password: want it in POSTGRES_PASSWORD, which is kept secret")
		}
	}
	if !strings.HasPrefix(set.URL, "postgres://") && !strings.HasPrefix(set.URL, "postgresql://") {
		return nil, sdk.Refusef("POSTGRES_URL: want postgres://USER@HOST:PORT/DATABASE")
	}
	config, err := pgxpool.ParseConfig(set.URL)
	if err != nil {
		return nil, sdk.Refusef("POSTGRES_URL: %v", err)
	}
	conn := config.ConnConfig
	if len(set.Schema) > maxIdentifier {
		return nil, sdk.Refusef("POSTGRES_SCHEMA=%q: want at most %d bytes", set.Schema, maxIdentifier)
	}
	conn.Password = set.Password
	conn.ConnectTimeout = dialTimeout
	config.MaxConns = int32(set.Connections)
	for name, value := range map[string]string{
		"application_name": "logger",
		"search_path":      pgx.Identifier{set.Schema}.Sanitize(),
		// What a host leaves behind that froze or lost its network ends by itself. Otherwise it
		// would hold its locks, and nobody could append to these apps.
		"statement_timeout":                   "10s",
		"idle_in_transaction_session_timeout": "10s",
	} {
		conn.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, sdk.Refusef("POSTGRES_URL: %v", err)
	}
	s := &storage{
		settings: set, pool: pool, name: describe(conn), inspect: host.Inspect,
		slot:   rand.IntN(slots), //nolint:gosec // nobody gains by guessing it
		schema: newSchema(), measured: newMeasured(pool), tended: make(chan struct{}),
	}
	s.followers.Listen = s.listen
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go s.tend(ctx)
	return s, nil
}

// maxIdentifier is how long a name may be in PostgreSQL, in bytes.
const maxIdentifier = 63

// Close implements io.Closer. The SDK calls it once the last call returned. The pool waits up to
// 15 s for a server that does not answer; Close leaves it to that.
func (s *storage) Close() error { //nolint:unparam // it is io.Closer's
	s.stop()
	<-s.tended
	closed := make(chan struct{})
	go func() { // ends with the pool
		defer close(closed)
		s.pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
	return nil
}

// Check says whether lines can be stored now. It makes the tables if they are missing: that the
// user may not do so is told before the first line comes.
func (s *storage) Check(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var readOnly bool
	err := s.pool.QueryRow(bounded, `SELECT current_setting('transaction_read_only')::bool`).Scan(&readOnly)
	switch {
	case err != nil:
	case readOnly:
		err = errReadOnly
	case !s.inspect:
		err = s.ready(bounded)
	}
	return s.explain(ctx, err)
}

// transact runs f in a transaction that has so much time: all of it happens, or nothing.
func (s *storage) transact(ctx context.Context, timeout time.Duration, options pgx.TxOptions, f func(context.Context, pgx.Tx) error) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.ready(bounded)
	if err == nil {
		err = pgx.BeginTxFunc(bounded, s.pool, options, func(tx pgx.Tx) error { return f(bounded, tx) })
	}
	return s.explain(ctx, err)
}
