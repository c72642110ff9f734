package sessionticket

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"postern/internal/testcert"
)

// bench is a server with or without the gate, and a client. Both run in this
// process, so a handshake's time is that of both sides.
type bench struct {
	server, client *tls.Config
	wrap           func(net.Conn) net.Conn
	resumed        bool // what its handshakes must be
}

// benches returns a bare server and one behind the gate, which keep separate keys.
// With resumed their clients have a ticket, and take no other, so that each of
// their handshakes resumes the same session.
func benches(b *testing.B, mode Mode, resumed bool) (bare, gated *bench) {
	b.Helper()
	pair := testcert.New(b, testcert.Options{})
	base, client := configs(pair)
	bare = &bench{server: base, client: client, wrap: func(c net.Conn) net.Conn { return c }}
	return bare.prepared(b, resumed), behindGate(b, pair, mode, resumed)
}

// behindGate returns a server behind the gate, as benches does.
func behindGate(b *testing.B, pair *testcert.Pair, mode Mode, resumed bool) *bench {
	b.Helper()
	gate := &Gate{Mode: mode, OnBypass: func(reason error) { b.Error(reason) }}
	base, client := configs(pair)
	gated := &bench{server: gate.Config(base), client: client, wrap: gate.Conn}
	return gated.prepared(b, resumed)
}

// prepared gives the client its ticket.
func (s *bench) prepared(b *testing.B, resumed bool) *bench {
	cache := &frozen{ClientSessionCache: s.client.ClientSessionCache}
	s.client.ClientSessionCache = cache
	if resumed {
		s.handshake(b)
	}
	cache.full, s.resumed = true, resumed
	return s
}

// frozen is a session cache that takes no ticket once it is full.
type frozen struct {
	tls.ClientSessionCache
	full bool
}

func (f *frozen) Put(key string, state *tls.ClientSessionState) {
	if !f.full {
		f.ClientSessionCache.Put(key, state)
	}
}

// connected returns a client and a server after a handshake and a first line, and
// how long that took.
func (s *bench) connected(b *testing.B) (client, server *tls.Conn, took time.Duration) {
	b.Helper()
	near, far := tcp(b)
	start := time.Now()
	client, server = tls.Client(near, s.client), tls.Server(s.wrap(far.Conn), s.server)
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte("250 mx.example.org\r\n"))
		done <- err
	}()
	_, err := client.Read(make([]byte, 64))
	if err == nil {
		err = <-done
	}
	took = time.Since(start)
	if err != nil || client.ConnectionState().DidResume != s.resumed {
		b.Fatalf("resumed: %v, want %v; error %v", client.ConnectionState().DidResume, s.resumed, err)
	}
	return client, server, took
}

func (s *bench) handshake(b *testing.B) time.Duration {
	client, server, took := s.connected(b)
	client.NetConn().Close()
	server.NetConn().Close()
	return took
}

// bulk returns a function that sends 16 KiB from the server to the client, and says
// how long it took.
func (s *bench) bulk(b *testing.B) func() time.Duration {
	client, server, _ := s.connected(b)
	b.Cleanup(func() { client.NetConn().Close(); server.NetConn().Close() })
	sent, got := make([]byte, 16<<10), make([]byte, 16<<10)
	return func() time.Duration {
		start := time.Now()
		for range 8 {
			if _, err := server.Write(sent); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(client, got); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		for name, resumed := range map[string]bool{"full": false, "resumed": true} {
			bare, gated := benches(b, mode, resumed)
			b.Run(mode.String()+"/"+name, func(b *testing.B) {
				compare(b, func() time.Duration { return bare.handshake(b) }, func() time.Duration { return gated.handshake(b) })
			})
		}
	}
}

// BenchmarkOwnWrite compares [OwnWrite] with [FirstWrite].
func BenchmarkOwnWrite(b *testing.B) {
	pair := testcert.New(b, testcert.Options{})
	for name, resumed := range map[string]bool{"full": false, "resumed": true} {
		first, own := behindGate(b, pair, FirstWrite, resumed), behindGate(b, pair, OwnWrite, resumed)
		b.Run(name, func(b *testing.B) {
			compare(b, func() time.Duration { return first.handshake(b) }, func() time.Duration { return own.handshake(b) })
		})
	}
}

func BenchmarkBulk(b *testing.B) {
	bare, gated := benches(b, OwnWrite, false)
	compare(b, bare.bulk(b), gated.bulk(b))
}

// compare runs both in turn, the one that goes first changing, and reports the
// medians and how much slower the gate's is. A single run of either says little on a
// machine that does other things.
func compare(b *testing.B, bare, gated func() time.Duration) {
	var times [2][]time.Duration
	var extra []float64
	for i := 0; b.Loop(); i++ {
		var pair [2]time.Duration
		for _, which := range [2]int{i % 2, 1 - i%2} {
			if which == 0 {
				pair[which] = bare()
			} else {
				pair[which] = gated()
			}
			times[which] = append(times[which], pair[which])
		}
		extra = append(extra, float64(pair[1]-pair[0]))
	}
	reference := float64(median(times[0]))
	b.ReportMetric(0, "ns/op") // of the pair, with the making of connections: no figure of interest
	b.ReportMetric(reference, "bare-ns")
	b.ReportMetric(float64(median(times[1])), "gate-ns")
	b.ReportMetric(100*(float64(median(times[1]))/reference-1), "%slower")
	b.ReportMetric(100*median(extra)/reference, "%slower-paired")
}

func median[T int64 | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkConn is what a Read and a Write cost once the ticket has gone.
func BenchmarkConn(b *testing.B) {
	buffer := make([]byte, 1)
	for name, c := range map[string]net.Conn{"bare": sink{}, "gate": new(Gate).Conn(sink{})} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Write(buffer)
				c.Read(buffer)
			}
		})
	}
}
