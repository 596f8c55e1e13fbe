package v1

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"

	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// readLogs answers what is kept. What follows a cursor begins with its oldest.
func (v *API) readLogs(w http.ResponseWriter, r *http.Request) error {
	of, values, err := subjectOf(r, logsNames, excerptNames, severalNames)
	if err != nil {
		return err
	}
	q, err := parseRequest(r, values, false)
	if err != nil {
		return err
	}
	newest := of.app != "" && q.after == "" && !q.moving
	w.Header().Add("Vary", "Accept")
	if newest && v.notModified(w, r, of.app, q.format) {
		return nil
	}
	out := v.newSink(w, q.format)
	k, err := v.keep(r.Context(), &of, &q, out)
	if err != nil {
		return err
	}
	defer k.Close()
	if !k.exists() {
		return of.unknown()
	}
	if one, _ := k.(*keptOfOne); newest && one.Version != 0 {
		w.Header().Set("ETag", etag(one.Version, r, q.format))
		w.Header().Set("Cache-Control", "no-cache")
	}
	v.sendLogs(r.Context(), out, k.head())
	return nil
}

// etag names an answer: the log's version, and what was asked.
func etag(version uint64, r *http.Request, format string) string {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, format, "?", r.URL.Query().Encode())
	return fmt.Sprintf(`W/"%x-%x"`, version, h.Sum64())
}

// notModified answers 304 if the client has the answer that it would get.
func (v *API) notModified(w http.ResponseWriter, r *http.Request, app, format string) bool {
	has := r.Header.Get("If-None-Match")
	if has == "" {
		return false
	}
	version, err := v.opts.Logs.Version(r.Context(), app)
	if err != nil || version == 0 || has != etag(version, r, format) {
		return false
	}
	w.Header().Set("ETag", has)
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusNotModified)
	return true
}

// sendLogs sends the answer, batch by batch. In JSON it begins with head.
func (v *API) sendLogs(ctx context.Context, out *sink, head []byte) {
	out.begin()
	if out.format == "json" {
		_ = out.write(append(head, `,"entries":[`...)) // else the next write fails
	}
	reason := ""
	for {
		b, err := out.answer.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, read.ErrSearch) || errors.Is(err, sdk.ErrTooExpensive) { // what was found is good, and says where to go on
			reason = "too_expensive"
			break
		}
		if err != nil {
			v.opts.Logger.Warn("an answer is cut off", "app", out.app, "error", err)
			if out.format == "ndjson" || out.format == "sse" {
				out.end("storage_away")
			}
			panic(http.ErrAbortHandler) // so that the client sees that it is not whole
		}
		if err := out.batch(ctx, &b); errors.Is(err, many.ErrTooMany) {
			reason = "too_many_apps"
			break
		} else if err != nil {
			return // the client left
		}
	}
	if out.format != "json" {
		if reason != "" {
			out.end(reason)
		}
		return
	}
	b := append([]byte(`],"cursor":"`), out.where().String()...)
	b = append(append(b, `","gaps":[`...), out.gaps...)
	b = append(b, ']')
	if reason != "" {
		b = append(append(append(b, `,"end":"`...), reason...), '"')
	}
	_ = out.write(append(b, "}\n"...)) // a client that left needs no end
}

// deleteLogs answers 204 once the app has no lines.
func (v *API) deleteLogs(w http.ResponseWriter, r *http.Request) error {
	app, _, err := asked(r, nil)
	if err != nil {
		return err
	}
	if err := v.opts.Logs.Delete(r.Context(), app); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
