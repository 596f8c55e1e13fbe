package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/plugin"
)

// get reads one answer and returns its length.
func get(client *http.Client, url string) (int64, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return n, fmt.Errorf("status %d", resp.StatusCode)
	}
	return n, err
}

// BenchmarkLogs queries the API, which reads from the memory storage's plugin. Beside it runs a
// bare net/http handler that writes the same bytes. Both have 8 clients on the same cores.
func BenchmarkLogs(b *testing.B) {
	const apps, lines, clients = 50, 1000, 8
	storage := plugin.NewStorage(memoryPlugin(b, lines))
	fill(b, storage, apps, lines)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bareListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	a := New(listener, Options{
		Storage: storage, Logger: hclog.NewNullLogger(), StorageTimeout: 3 * time.Second,
		Readiness: func() Readiness { return Readiness{Ready: true} }, Metrics: http.NotFoundHandler(),
	})
	var bodies atomic.Pointer[[apps][]byte] // one for each app, as the logger has: a single one would stay in the processor's cache
	bare := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app, _ := strconv.Atoi(r.URL.Path[1:])
		text := bodies.Load()[app]
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text)
	})}
	ctx, stop := context.WithCancel(b.Context())
	var servers sync.WaitGroup
	servers.Go(func() { _ = a.Run(ctx) })
	servers.Go(func() { _ = bare.Serve(bareListener) })
	defer servers.Wait()
	defer func() { _ = bare.Close() }()
	defer stop()

	transport := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, n := range []int{1, 100, lines} {
		url := fmt.Sprintf("http://%s/logs/app-%%02d?log_lines=%d", listener.Addr(), n)
		resp, err := client.Get(fmt.Sprintf(url, 0))
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || strings.Count(string(text), "\n") != n {
			b.Fatalf("%d lines, %v", strings.Count(string(text), "\n"), err)
		}
		var all [apps][]byte
		for i := range all {
			all[i] = slices.Clone(text)
			if _, err := get(client, fmt.Sprintf(url, i)); err != nil { // the first rendering is not to be measured
				b.Fatal(err)
			}
		}
		bodies.Store(&all)
		for _, server := range []struct{ name, url string }{
			{"bare", "http://" + bareListener.Addr().String() + "/%d"},
			{"logger", url},
		} {
			b.Run(fmt.Sprintf("lines=%d/%s", n, server.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				var took atomic.Int64
				b.SetParallelism(clients / 2) // times two cores
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						began := time.Now()
						size, err := get(client, fmt.Sprintf(server.url, i%apps))
						if err != nil || size != int64(len(text)) {
							b.Error(size, err)
							return
						}
						took.Add(int64(time.Since(began)))
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
				b.ReportMetric(float64(took.Load())/float64(b.N)/1e6, "ms/answer")
			})
		}
	}
}

// BenchmarkAll reads all lines of an app that keeps 100,000: about 26 MB.
func BenchmarkAll(b *testing.B) {
	const lines = 100_000
	storage := plugin.NewStorage(memoryPlugin(b, lines))
	fill(b, storage, 1, lines)
	a := newAPI(storage)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = nil
		a.server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/logs/app-00?log_lines=-1", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
