package host

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestAdminIsForThisMachineAlone(t *testing.T) {
	for _, address := range []string{":6060", "0.0.0.0:0", "[::]:0", "192.0.2.1:6060", "nowhere"} {
		a, err := newAdmin(t.Context(), address, hclog.NewNullLogger())
		if err == nil {
			_ = a.listener.Close()
			t.Errorf("%s is taken", address)
		}
	}
	a, err := newAdmin(t.Context(), "127.0.0.1:0", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	for host, want := range map[string]int{"": 200, "localhost:1": 200, "rebound.example": 403, "192.0.2.1": 403} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.listener.Addr().String()+"/debug/pprof/goroutine?debug=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || strings.Contains(string(body), "goroutine profile") != (want == 200) {
			t.Errorf("for host %q: %d %.100s", host, resp.StatusCode, body)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}
