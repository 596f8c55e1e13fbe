package sdk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/deis/logger/sdk/pluginpb"
)

func benchEntries(n int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.UTC).Add(time.Duration(i) * time.Millisecond)
		message := fmt.Sprintf("10.164.1.1 GET / - %d ", i)
		out[i] = Entry{
			Position: uint64(i + 1),
			Time:     at, Published: at.Add(time.Millisecond), Source: SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-10ye", Container: "foo-web",
			Message: message + strings.Repeat(".", 200-len(message)),
		}
	}
	return out
}

func benchBatch(entries, apps int) Batch {
	b := Batch{ID: BatchID{Writer: "writer", Sequence: 1}}
	for i := range apps {
		b.Apps = append(b.Apps, AppEntries{App: fmt.Sprintf("app-%d", i), Entries: benchEntries(entries / apps)})
	}
	return b
}

func benchMessages(n int) []Message {
	out := make([]Message, n)
	for i := range out {
		out[i] = Message{
			ID: fmt.Sprintf("%016x", i), Payload: []byte(strings.Repeat("x", 728)), Published: time.Unix(0, int64(i)+1), Attempts: 1,
		}
	}
	return out
}

// perEntry runs f and reports the cost of each of n entries per operation. It also reports the
// process's CPU time, which tells more than the clock on a shared machine.
func perEntry(b *testing.B, n int, f func()) {
	var before, after syscall.Rusage
	b.ReportAllocs()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	f()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	entries := float64(b.N) * float64(n)
	b.ReportMetric(float64(cpu)/entries, "cpu-ns/entry")
	b.ReportMetric(entries/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkCodec compares our codec with the generated code and its conversions.
func BenchmarkCodec(b *testing.B) {
	const n = 1000
	batch, page, messages := benchBatch(n, 50), Page{Epoch: 1, Last: uint64(n), Entries: benchEntries(n)}, benchMessages(n)
	must := func(b *testing.B, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	marshal := func(b *testing.B, m proto.Message) {
		data, err := wireCodec.Marshal(m)
		must(b, err)
		data.Free()
	}
	for _, c := range []struct {
		name            string
		ours, generated func(b *testing.B)
	}{
		{"encode/batch", func(b *testing.B) {
			e, err := encodeBatch(&batch)
			must(b, err)
			e.data.Free()
		}, func(b *testing.B) { marshal(b, batchToWire(&batch)) }},
		{"encode/page", func(b *testing.B) {
			e, err := encodePage(&page, false, false)
			must(b, err)
			e.data.Free()
		}, func(b *testing.B) { marshal(b, pageToWire(&page)) }},
		{"encode/messages", func(b *testing.B) {
			e, err := encodeMessages(1, messages)
			must(b, err)
			e.data.Free()
		}, func(b *testing.B) { marshal(b, messagesToWire(1, messages)) }},
	} {
		b.Run(c.name+"/codec=own", func(b *testing.B) { each(b, n, c.ours) })
		b.Run(c.name+"/codec=generated", func(b *testing.B) { each(b, n, c.generated) })
	}
	encodedBatch, err := encodeBatch(&batch)
	if err != nil {
		b.Fatal(err)
	}
	encodedPage, err := encodePage(&page, false, false)
	if err != nil {
		b.Fatal(err)
	}
	encodedMessages, err := encodeMessages(1, messages)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name            string
		ours, generated func(b *testing.B)
	}{
		{"decode/batch", func(b *testing.B) {
			m := appendRequests.Get().(*appendRequest)
			must(b, decodeData(encodedBatch.data, m))
			m.release()
		}, func(b *testing.B) {
			var m pluginpb.AppendRequest
			must(b, wireCodec.Unmarshal(encodedBatch.data, &m))
			batchFromWire(&m)
		}},
		{"decode/page", func(b *testing.B) {
			must(b, decodeData(encodedPage.data, &readResponse{}))
		}, func(b *testing.B) {
			var m pluginpb.ReadResponse
			must(b, wireCodec.Unmarshal(encodedPage.data, &m))
			pageFromWire(&m)
		}},
		{"decode/messages", func(b *testing.B) {
			must(b, decodeData(encodedMessages.data, &runResponse{}))
		}, func(b *testing.B) {
			var m pluginpb.RunResponse
			must(b, wireCodec.Unmarshal(encodedMessages.data, &m))
			messagesFromWire(&m)
		}},
	} {
		b.Run(c.name+"/codec=own", func(b *testing.B) { each(b, n, c.ours) })
		b.Run(c.name+"/codec=generated", func(b *testing.B) { each(b, n, c.generated) })
	}
}

func each(b *testing.B, n int, f func(*testing.B)) {
	perEntry(b, n, func() {
		for b.Loop() {
			f(b)
		}
	})
}

// benchConn serves over a unix socket with mutual TLS, as go-plugin does.
func benchConn(b *testing.B, register func(*grpc.Server)) *grpc.ClientConn {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	conf := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ServerName: "localhost",
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
	path := filepath.Join(b.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	logger := hclog.NewNullLogger()
	server := grpc.NewServer(append(ServerOptions(), grpc.Creds(credentials.NewTLS(conf)),
		grpc.ChainUnaryInterceptor(recoverUnary(logger)), grpc.ChainStreamInterceptor(recoverStream(logger)))...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("unix://"+path, append(DialOptions(),
		grpc.WithAuthority("localhost"), grpc.WithTransportCredentials(credentials.NewTLS(conf)))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

// BenchmarkAppend appends one batch after the other, as the host's pipeline does.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{50, 700, 4000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			storage := benchStorage(b, scriptedStorage{append: func(context.Context, Batch) error { return nil }})
			batch := benchBatch(n, 50)
			each(b, n, func(b *testing.B) {
				if err := storage.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkRead reads pages with one reader and with eight.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		page := Page{Epoch: 1, Last: uint64(n), Entries: benchEntries(n)}
		storage := benchStorage(b, scriptedStorage{read: func(context.Context, ReadOptions) (Page, error) { return page, nil }})
		read := func() {
			if p, err := storage.Read(b.Context(), ReadOptions{App: "foo", Limit: n}); err != nil || len(p.Entries) != n {
				b.Error(len(p.Entries), err)
			}
		}
		b.Run(fmt.Sprintf("entries=%d/readers=1", n), func(b *testing.B) {
			each(b, n, func(*testing.B) { read() })
		})
		b.Run(fmt.Sprintf("entries=%d/readers=8", n), func(b *testing.B) {
			b.SetParallelism(4) // times two cores
			perEntry(b, n, func() {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						read()
					}
				})
			})
		})
	}
}

// BenchmarkDeliver delivers an aggregator's messages to the host, up to 16 batches ahead of their
// acks.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			messages := benchMessages(n)
			impl := &implementation[Aggregator]{opened: true, value: scriptedAggregator(func(ctx context.Context, deliver Deliver) error {
				var owed []*Receipt
				perEntry(b, n, func() {
					for b.Loop() {
						r, err := deliver(ctx, messages)
						if err != nil {
							b.Error(err)
							return
						}
						if owed = append(owed, r); len(owed) == 16 {
							if err := owed[0].Wait(ctx); err != nil {
								b.Error(err)
							}
							owed = owed[1:]
						}
					}
				})
				return nil
			})}
			a := NewRemoteAggregator(benchConn(b, func(g *grpc.Server) {
				pluginpb.RegisterAggregatorServiceServer(g, &aggregatorServer{impl: impl})
			}), time.Second)
			err := a.Run(b.Context(), func(context.Context, []Message) (*Receipt, error) {
				r := NewReceipt()
				r.Resolve(nil)
				return r, nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchStorage(b *testing.B, s Storage) *RemoteStorage {
	b.Helper()
	impl := &implementation[Storage]{value: s, opened: true}
	return NewRemoteStorage(benchConn(b, func(g *grpc.Server) { registerStorage(g, impl) }))
}
