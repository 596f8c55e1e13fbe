package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deis/logger/sdk"
)

// eventually calls f until it returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// appendUntil appends as a host does: again and again, until it is stored.
func appendUntil(t *testing.T, s sdk.Storage, b sdk.Batch) {
	t.Helper()
	eventually(t, "append", func() error { return s.Append(bounded(10*time.Second), b) })
}

// messages reads all that is kept of an app.
func messages(t *testing.T, s sdk.Storage, app string) (texts []string) {
	t.Helper()
	at := sdk.Beginning()
	for {
		page, err := sdk.ReadFiltered(t.Context(), s, sdk.ReadOptions{App: app, Limit: -1, After: at})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Entries {
			texts = append(texts, page.Entries[i].Message)
		}
		if at = page.Next; !page.More {
			return texts
		}
	}
}

// texts returns the messages of numbered.
func texts(first, last int) (all []string) {
	for _, e := range numbered(first, last) {
		all = append(all, e.Message)
	}
	return all
}

// refused expects an error as an operator wants it: of that kind, one line, with these words.
func refused(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	switch {
	case !errors.Is(err, kind):
		t.Errorf("%v: want %v", err, kind)
	case strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), password):
		t.Errorf("%q: want one line without the password", err)
	}
	for _, word := range words {
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// TestAway: the plugin starts without its database, says what is away, within a second and at each
// call, and serves as soon as it is there.
func TestAway(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	server.kill()
	s := openAt(t, server.settings())
	name := fmt.Sprintf("PostgreSQL at 127.0.0.1:%d is unavailable: ", server.port)
	began := time.Now()
	refused(t, s.Check(t.Context()), sdk.ErrUnavailable, name, "connection refused")
	if took := time.Since(began); took > time.Second {
		t.Errorf("Check took %s", took)
	}
	refused(t, s.Append(t.Context(), batch("w", 1, "foo", numbered(1, 3)...)), sdk.ErrUnavailable, name)
	_, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: 10})
	refused(t, err, sdk.ErrUnavailable, name)
	text, err := s.Metrics(t.Context())
	if err != nil || !strings.Contains(string(text), "\nfailures_total 3\n") || !strings.Contains(string(text), "\nconnections 0\n") {
		t.Errorf("metrics: %v\n%s", err, text)
	}
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there", func() error { return s.Check(t.Context()) })
	appendUntil(t, s, batch("w", 1, "foo", numbered(1, 3)...))
	if got := messages(t, s, "foo"); !slices.Equal(got, texts(1, 3)) {
		t.Errorf("kept are %q", got)
	}
}

// TestFrozen: a database that takes connections and answers nothing is told as such, by each call
// before its host gives up on the plugin.
func TestFrozen(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	s := openAt(t, server.settings())
	appendUntil(t, s, batch("w", 1, "foo", numbered(1, 3)...))
	var open []*pgxpool.Conn // so that no call begins with a new connection, which has a deadline too
	for range s.Connections {
		conn, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	for _, conn := range open {
		conn.Release()
	}
	leaving := openAt(t, server.settings())
	appendUntil(t, leaving, batch("w", 1, "foo", numbered(1, 3)...)) // it has a connection
	server.freeze()
	for _, c := range []struct {
		name string
		call func() error
		in   time.Duration
	}{
		{"Check", func() error { return s.Check(t.Context()) }, checkTimeout},
		{"Read", func() error { _, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: 1}); return err }, readTimeout},
		{"Delete", func() error { return s.Delete(t.Context(), "bar") }, deleteTimeout},
		{"Append", func() error { return s.Append(t.Context(), batch("w", 2, "foo", numbered(4, 6)...)) }, appendTimeout},
		{"Check again", func() error { return s.Check(t.Context()) }, checkTimeout},
	} {
		began := time.Now()
		refused(t, c.call(), sdk.ErrUnavailable, "it does not answer in time")
		if took := time.Since(began); took > c.in+c.in/4 {
			t.Errorf("%s took %s, want %s", c.name, took, c.in)
		}
	}
	_, _ = leaving.Read(bounded(100*time.Millisecond), sdk.ReadOptions{App: "foo", Limit: 1})
	began := time.Now()
	if err := leaving.Close(); err != nil || time.Since(began) > 2*closeTimeout {
		t.Errorf("Close: %v, after %s; want %s", err, time.Since(began), closeTimeout)
	}
	server.thaw()
	eventually(t, "it answers again", func() error { return s.Check(t.Context()) })
	appendUntil(t, s, batch("w", 2, "foo", numbered(4, 6)...))
	if got := messages(t, s, "foo"); !slices.Equal(got, texts(1, 6)) {
		t.Errorf("kept are %q", got)
	}
}

// TestTakenAway: while two hosts append and one follows, the database is killed and frozen several
// times. What was acknowledged is there once, in order, and the follower has seen all of it.
func TestTakenAway(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	set := server.settings()
	set.Lines = 1_000_000
	var hosts, following sync.WaitGroup
	done := make(chan struct{})
	var acknowledged [2]int
	var failed atomic.Int64 // appends
	for host := range acknowledged {
		s := openAt(t, set)
		hosts.Go(func() {
			app := fmt.Sprintf("app-%d", host)
			for n := 0; ; n += 10 {
				select {
				case <-done:
					acknowledged[host] = n
					return
				default:
				}
				b := batch(fmt.Sprintf("host-%d", host), uint64(n+1), app, numbered(n+1, n+10)...)
				b.Apps = append(b.Apps, sdk.AppEntries{App: "shared", Entries: numbered(n+1, n+10)})
				for s.Append(bounded(10*time.Second), b) != nil {
					failed.Add(1)
					time.Sleep(10 * time.Millisecond) // as a host waits
				}
			}
		})
	}
	follower := openAt(t, set)
	var mu sync.Mutex
	var seen []string
	ctx, cancel := context.WithCancel(t.Context())
	following.Go(func() { // as a host does: it goes on behind the last page
		at := sdk.Beginning()
		for ctx.Err() == nil {
			_ = follower.Follow(ctx, "app-0", at, func(page sdk.Page) error {
				mu.Lock()
				defer mu.Unlock()
				for i := range page.Entries {
					seen = append(seen, page.Entries[i].Message)
				}
				at = page.Next
				return nil
			})
			time.Sleep(20 * time.Millisecond)
		}
	})
	grows := func() {
		t.Helper()
		mu.Lock()
		from := len(seen)
		mu.Unlock()
		eventually(t, "lines flow", func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(seen) < from+50 {
				return fmt.Errorf("%d lines, want %d", len(seen), from+50)
			}
			return nil
		})
	}
	for range 2 {
		grows()
		server.kill()
		if err := server.start(); err != nil {
			t.Fatal(err)
		}
		grows()
		failures := failed.Load()
		server.freeze()
		eventually(t, "appends run out of time", func() error {
			if n := failed.Load(); n < failures+int64(len(acknowledged)) {
				return fmt.Errorf("%d failed", n-failures)
			}
			return nil
		})
		server.thaw()
	}
	grows()
	close(done)
	hosts.Wait()
	eventually(t, "the follower is there", func() error {
		mu.Lock()
		defer mu.Unlock()
		if n := acknowledged[0]; n == 0 || len(seen) < n {
			return fmt.Errorf("%d of %d", len(seen), n)
		}
		return nil
	})
	cancel()
	following.Wait()
	if want := texts(1, acknowledged[0]); !slices.Equal(seen, want) {
		t.Errorf("the follower saw %d lines, or in another order; want %d", len(seen), len(want))
	}
	for host, n := range acknowledged {
		if got := messages(t, follower, fmt.Sprintf("app-%d", host)); !slices.Equal(got, texts(1, n)) {
			t.Errorf("%d lines are kept, or in another order; want %d", len(got), n)
		}
	}
	both := messages(t, follower, "shared")
	slices.Sort(both)
	want := slices.Concat(texts(1, acknowledged[0]), texts(1, acknowledged[1]))
	slices.Sort(want)
	if !slices.Equal(both, want) {
		t.Errorf("%d lines are kept of both hosts, want %d, each once", len(both), len(want))
	}
	t.Logf("%v lines", acknowledged)
}

// TestListenerIsCutOff: a follower whose connection is ended goes on with another.
func TestListenerIsCutOff(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := openAt(t, server.settings())
	pages := make(chan sdk.Page, 16)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = s.Follow(ctx, "foo", sdk.Beginning(), func(page sdk.Page) error {
			pages <- page
			return nil
		})
	}()
	next := func() sdk.Page {
		t.Helper()
		select {
		case page := <-pages:
			return page
		case <-time.After(time.Minute):
			t.Fatal("the follower is told of nothing")
			return sdk.Page{}
		}
	}
	for i := range 3 {
		appendUntil(t, s, batch("w", uint64(i+1), "foo", numbered(i+1, i+1)...))
		if page := next(); len(page.Entries) != 1 || page.Last != uint64(i+1) {
			t.Errorf("page %d has %d entries up to position %d", i, len(page.Entries), page.Last)
		}
		server.do(t, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE query = 'LISTEN %s'`, strings.ReplaceAll(pgx.Identifier{s.Schema}.Sanitize(), "'", "''")))
	}
}

// TestErrors: what is wrong is told in one line, of the kind that the host goes by.
func TestErrors(t *testing.T) {
	server := sharedServer(t)
	attempt := func(set settings) (check, write error) {
		s := openAt(t, set)
		return s.Check(t.Context()), s.Append(t.Context(), batch("w", 1, "foo", numbered(1, 1)...))
	}
	as := func(role, options string) settings {
		server.do(t, `DROP ROLE IF EXISTS `+role)
		server.do(t, `CREATE ROLE `+role+` LOGIN PASSWORD '`+password+`' `+options)
		set := server.settings()
		set.URL = strings.Replace(set.URL, "logger@", role+"@", 1)
		return set
	}
	t.Run("wrong password", func(t *testing.T) {
		set := server.settings()
		set.Password = "wrong-one"
		check, write := attempt(set)
		refused(t, check, sdk.ErrUnavailable, "POSTGRES_PASSWORD", `"logger"`)
		refused(t, write, sdk.ErrUnavailable, "POSTGRES_PASSWORD")
	})
	t.Run("no such database", func(t *testing.T) {
		set := server.settings()
		set.URL = strings.Replace(set.URL, "/logger?", "/elsewhere?", 1)
		check, _ := attempt(set)
		refused(t, check, sdk.ErrUnavailable, `database "elsewhere" does not exist`)
	})
	t.Run("may create nothing", func(t *testing.T) {
		check, write := attempt(as("stranger", ""))
		refused(t, check, sdk.ErrUnavailable, "permission denied for database logger")
		refused(t, write, sdk.ErrUnavailable, "permission denied for database logger")
	})
	t.Run("read-only", func(t *testing.T) {
		set := server.settings()
		check, write := attempt(set)
		if check != nil || write != nil {
			t.Fatal(check, write)
		}
		set.URL += "&default_transaction_read_only=on"
		check, write = attempt(set)
		refused(t, check, sdk.ErrUnavailable, "it is read-only")
		refused(t, write, sdk.ErrUnavailable, "it is read-only")
	})
	t.Run("no connections left", func(t *testing.T) {
		check, _ := attempt(as("lonely", "CONNECTION LIMIT 0"))
		refused(t, check, sdk.ErrUnavailable, `too many connections for role "lonely"`)
	})
	t.Run("full", func(t *testing.T) {
		set := server.settings()
		s := openAt(t, set)
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		name := pgx.Identifier{set.Schema}.Sanitize()
		// What PostgreSQL says when its disk is full, by its own code.
		server.do(t, `CREATE FUNCTION `+name+`.no_room() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN RAISE EXCEPTION ''could not extend file: No space left on device'' USING ERRCODE = ''53100''; END'`)
		server.do(t, `CREATE TRIGGER no_room BEFORE INSERT ON `+name+`.entries EXECUTE FUNCTION `+name+`.no_room()`)
		b := batch("w", 1, "foo", numbered(1, 1)...)
		refused(t, s.Append(t.Context(), b), sdk.ErrFull, "is full: ", "No space left")
		server.do(t, `DROP TRIGGER no_room ON `+name+`.entries`)
		appendUntil(t, s, b)
		if got := messages(t, s, "foo"); !slices.Equal(got, texts(1, 1)) {
			t.Errorf("kept are %q", got)
		}
	})
	t.Run("tables dropped", func(t *testing.T) {
		set := server.settings()
		s := openAt(t, set)
		appendUntil(t, s, batch("w", 1, "foo", numbered(1, 3)...))
		server.do(t, `DROP SCHEMA `+pgx.Identifier{set.Schema}.Sanitize()+` CASCADE`)
		refused(t, s.Append(t.Context(), batch("w", 2, "foo", numbered(4, 4)...)), sdk.ErrUnavailable, "its tables are gone")
		appendUntil(t, s, batch("w", 2, "foo", numbered(4, 4)...))
		if got := messages(t, s, "foo"); !slices.Equal(got, texts(4, 4)) {
			t.Errorf("kept are %q", got)
		}
	})
	t.Run("a value that it refuses", func(t *testing.T) { // an app's name is text; no host lets it pass
		s := openAt(t, server.settings())
		refused(t, s.Append(t.Context(), batch("w", 1, "a\x00b", numbered(1, 1)...)), sdk.ErrInvalid, "refuses a value")
	})
	t.Run("two servers, and a password in a file of the user's", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pgpass")
		if err := os.WriteFile(file, []byte("*:*:*:*:wrong-one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PGPASSFILE", file)
		set := server.settings()
		set.URL = strings.Replace(set.URL, "@", "@127.0.0.1:1,", 1) + "&target_session_attrs=read-write"
		s := openAt(t, set)
		if err := s.Check(t.Context()); err != nil || s.name != "PostgreSQL at 127.0.0.1:1 and others" {
			t.Errorf("%s: %v", s.name, err)
		}
	})
	for name, change := range map[string]func(*settings){
		"want postgres://":              func(set *settings) { set.URL = "host=127.0.0.1 password=" + password },
		"has a password: want it in PO": func(set *settings) { set.URL += "&password=" + password },
		"POSTGRES_URL: ":                func(set *settings) { set.URL = "postgres://logger:" + password + "@127.0.0.1:port/" },
		"POSTGRES_URL has a password":   func(set *settings) { set.URL = strings.Replace(set.URL, "logger@", "logger:"+password+"@", 1) },
		"POSTGRES_SCHEMA=":              func(set *settings) { set.Schema = strings.Repeat("s", 64) },
		"failed to configure TLS": func(set *settings) {
			set.URL += "&sslrootcert=" + filepath.Join(t.TempDir(), "none")
			set.URL = strings.Replace(set.URL, "sslmode=disable", "sslmode=verify-full", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := server.settings()
			change(&set)
			_, err := open(t.Context(), set, sdk.Host{})
			refused(t, err, sdk.ErrInvalid, name)
		})
	}
}
