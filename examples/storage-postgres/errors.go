package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/deis/logger/sdk"
)

// errReadOnly is what Check finds before a write does.
var errReadOnly = errors.New("it is read-only: a standby, or default_transaction_read_only is on")

// describe returns what an error calls the database. The password is not in it.
func describe(config *pgx.ConnConfig) string {
	at := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	if len(config.Fallbacks) > 0 {
		at += " and others"
	}
	return "PostgreSQL at " + at
}

// explain gives an error the identity that the host goes by, and says in one line whose it is and
// what is wrong. PostgreSQL's error codes are stable, its texts are not: only codes are compared.
// ctx is the caller's: if it ended, that is the error.
func (s *storage) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%s: %w", s.name, ended)
	}
	if errors.Is(err, sdk.ErrInvalid) {
		return err // of ours: it is about the call
	}
	s.failures.Inc()
	unavailable := func(what string) error {
		return fmt.Errorf("%s is %w: %s", s.name, sdk.ErrUnavailable, what)
	}
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		switch {
		case errors.Is(err, errReadOnly):
			return unavailable(err.Error())
		case errors.Is(err, context.DeadlineExceeded): // it is ours, and not the caller's
			return unavailable("it does not answer in time")
		default:
			return unavailable(innermost(err).Error())
		}
	}
	switch code := failure.Code; {
	case code == "53100": // disk_full
		return fmt.Errorf("%s is %w: %s", s.name, sdk.ErrFull, failure.Message)
	case code[:2] == "22": // data_exception: the same call fails for ever
		return fmt.Errorf("%s refuses a value: %w: %s", s.name, sdk.ErrInvalid, failure.Message)
	case code == "28P01" || code == "28000": // invalid_password, invalid_authorization_specification
		return unavailable("it does not accept the user of POSTGRES_URL with the value of POSTGRES_PASSWORD: " + failure.Message)
	case code == "25006": // read_only_sql_transaction
		return unavailable(errReadOnly.Error())
	case code == "42P01" || code == "3F000": // undefined_table, invalid_schema_name
		s.schema.made.Store(false) // somebody dropped it: the next call makes it again
		return unavailable("its tables are gone: " + failure.Message)
	case code == "57014": // query_canceled
		return unavailable("a statement took too long")
	default:
		return unavailable(failure.Message + " (" + code + ")")
	}
}

// innermost returns the error that all others wrap: what pgx puts around it repeats the address.
func innermost(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // this is the unwrapping
		case interface{ Unwrap() []error }:
			errs := e.Unwrap()
			if len(errs) == 0 {
				return err
			}
			err = errs[0]
		case interface{ Unwrap() error }:
			inner := e.Unwrap()
			if _, isNet := err.(*net.OpError); isNet || inner == nil { //nolint:errorlint // likewise
				return err // "dial tcp 127.0.0.1:5432: connect: connection refused"
			}
			err = inner
		default:
			return err
		}
	}
}
