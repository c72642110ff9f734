// What a connection costs both sides together, in processor time, writes and bytes of the server:
//
//	go test -bench . ticket_test.go bench_test.go
package ticket

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func BenchmarkConnection(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		b.Run(map[bool]string{false: "full", true: "resumed"}[resumed], func(b *testing.B) {
			server, client := &tls.Config{Certificates: []tls.Certificate{certificate(b)}}, newClient()
			cache := &frozen{ClientSessionCache: client.ClientSessionCache}
			client.ClientSessionCache = cache
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer listener.Close()
			if resumed {
				connect(b, listener, server, client)
			}
			cache.full = true
			var total counter
			start := processorTime(b)
			for b.Loop() {
				conn := connect(b, listener, server, client)
				total.writes += conn.writes
				total.bytes += conn.bytes
			}
			b.ReportMetric(float64((processorTime(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(total.writes)/float64(b.N), "writes/op")
			b.ReportMetric(float64(total.bytes)/float64(b.N), "sent-B/op")
		})
	}
}

// connect makes a connection on which the server sends 5 bytes and closes.
func connect(b *testing.B, listener net.Listener, server, client *tls.Config) *counter {
	b.Helper()
	done := make(chan *counter, 1)
	go func() {
		accepted, err := listener.Accept()
		if err != nil {
			b.Error(err)
		}
		conn := &counter{Conn: accepted}
		secure := tls.Server(conn, server)
		io.WriteString(secure, "hello")
		secure.Close()
		done <- conn
	}()
	secure, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		b.Fatal(err)
	}
	defer secure.Close()
	if got, err := io.ReadAll(secure); err != nil || string(got) != "hello" {
		b.Fatalf("client read %q, %v", got, err)
	}
	return <-done
}

// frozen is a session cache that takes no ticket once it is full, so each connection of a
// benchmark is of the same kind.
type frozen struct {
	tls.ClientSessionCache
	full bool
}

func (f *frozen) Put(key string, state *tls.ClientSessionState) {
	if !f.full {
		f.ClientSessionCache.Put(key, state)
	}
}

func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
