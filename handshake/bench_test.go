package handshake

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"postern/sessionticket"
)

// BenchmarkHandshake compares handshakes over a gated conn with and without the
// recorder below. Both sides run in this process, so the time is that of both.
func BenchmarkHandshake(b *testing.B) {
	for name, resumed := range map[string]bool{"full": false, "resumed": true} {
		b.Run(name, func(b *testing.B) {
			bare, recording := newBench(b, resumed, false), newBench(b, resumed, true)
			compare(b, func() time.Duration { return bare.handshake(b) }, func() time.Duration { return recording.handshake(b) })
		})
	}
}

type bench struct {
	server          *server
	client          *tls.Config
	resumed, record bool
}

func newBench(b *testing.B, resumed, record bool) *bench {
	serverConfig, clientConfig := configs(b)
	cache := &frozen{ClientSessionCache: clientConfig.ClientSessionCache}
	clientConfig.ClientSessionCache = cache
	s := &bench{server: newServer(serverConfig, sessionticket.FirstWrite), client: clientConfig, record: record}
	if resumed {
		s.handshake(b)
	}
	cache.full, s.resumed = true, resumed
	return s
}

// frozen is a session cache that accepts no ticket once it is full, so that each
// handshake resumes the same session, or none.
type frozen struct {
	tls.ClientSessionCache
	full bool
}

func (f *frozen) Put(key string, state *tls.ClientSessionState) {
	if !f.full {
		f.ClientSessionCache.Put(key, state)
	}
}

// handshake runs one and a first line, and returns how long that took with its
// transcript.
func (s *bench) handshake(b *testing.B) time.Duration {
	near, far := tcp(b)
	defer near.Close()
	defer far.Close()
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- s.serve(far) }()
	client := tls.Client(near, s.client)
	_, err := client.Read(make([]byte, 64))
	if err == nil {
		err = <-done
	}
	took := time.Since(start)
	if err != nil || client.ConnectionState().DidResume != s.resumed {
		b.Fatalf("resumed: %v, want %v; error %v", client.ConnectionState().DidResume, s.resumed, err)
	}
	return took
}

func (s *bench) serve(far net.Conn) error {
	var secure *tls.Conn
	var recorded *Conn
	if s.record {
		secure, recorded = s.server.accept(far)
	} else {
		secure = tls.Server(s.server.gate.Conn(far), s.server.config)
	}
	_, err := secure.Write([]byte("250 mx.example.org\r\n"))
	if s.record && !recorded.Stop(UseNone).Completed {
		panic("not recorded")
	}
	return err
}

// compare runs both in turn, in alternating order, and reports the medians and how much
// slower recording is. A single run says little on a busy machine.
func compare(b *testing.B, bare, recording func() time.Duration) {
	var times [2][]time.Duration
	var extra []time.Duration
	for i := 0; b.Loop(); i++ {
		var pair [2]time.Duration
		for _, which := range [2]int{i % 2, 1 - i%2} {
			if which == 0 {
				pair[which] = bare()
			} else {
				pair[which] = recording()
			}
			times[which] = append(times[which], pair[which])
		}
		extra = append(extra, pair[1]-pair[0])
	}
	reference := float64(median(times[0]))
	b.ReportMetric(0, "ns/op") // of the pair, with making connections: not useful
	b.ReportMetric(reference, "bare-ns")
	b.ReportMetric(float64(median(times[1])), "recorded-ns")
	b.ReportMetric(100*(float64(median(times[1]))/reference-1), "%slower")
	b.ReportMetric(100*float64(median(extra))/reference, "%slower-paired")
}

func median(values []time.Duration) time.Duration {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkRecorder measures the recorder alone, for one handshake.
func BenchmarkRecorder(b *testing.B) {
	pieces := []piece{client(hello(richHello)), full(aes128, 36), client(changeCipherSpec, sealed(36)), serve(sealed(120), sealed(40)), client(sealed(8))}
	b.ReportAllocs()
	for b.Loop() {
		if !recorded(OnWire, pieces...).Transcript().Completed {
			b.Fatal("not completed")
		}
	}
}

// BenchmarkConn measures a Read and a Write when nothing is recorded.
func BenchmarkConn(b *testing.B) {
	buffer := make([]byte, 1)
	for name, c := range map[string]net.Conn{"bare": sink{}, "stopped": NewConn(sink{}, AtServer)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Write(buffer)
				c.Read(buffer)
			}
		})
	}
}
