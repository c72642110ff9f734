// Package load is a minimal SMTP sender for benchmarks. It sends messages over STARTTLS as fast
// as the server accepts them, checks each reply and each handshake, and counts the messages that
// were acknowledged.
//
// If the server offers PIPELINING (RFC 2920), it pipelines as Postfix does: MAIL, RCPT and DATA
// in one write, and QUIT with the final dot of the last message. It accepts the one certificate
// that it is given and verifies nothing else, as mail servers without DANE or MTA-STS do.
package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is what to send.
type Load struct {
	Addr        string            // of the server, host:port
	Certificate *x509.Certificate // that the server must send; nil: without TLS
	Groups      []tls.CurveID     // for the key exchange; nil: X25519
	Resume      bool              // offer the server's last ticket
	Senders     int               // connections at once
	Messages    int               // a connection

	// The load lasts for Warm, which is not counted, and Time. It ends between two messages.
	Warm, Time time.Duration
	// Connections, if not 0, ends the load after that many connections instead.
	Connections int
}

var loads atomic.Int64 // of this process, so that message IDs are unique

// Run sends the load and returns the results. The first unexpected reply or handshake ends the
// load with an error.
func (l Load) Run() (*Tally, error) {
	start := time.Now()
	run := &run{Load: l, number: loads.Add(1), from: start.Add(l.Warm), until: start.Add(l.Warm + l.Time)}
	senders := make([]*sender, l.Senders)
	var all sync.WaitGroup
	for i := range senders {
		senders[i] = newSender(run, i)
		all.Go(senders[i].send)
	}
	all.Wait()
	return run.tally(senders, time.Since(start))
}

// Dial opens one connection of the load, ready for messages. The caller closes it.
func (l Load) Dial() (*Conn, error) {
	var config *tls.Config
	if l.Certificate != nil {
		config = clientConfig(l)
	}
	return dial(l.Addr, config)
}

// A run is a load in progress.
type run struct {
	Load
	number      int64
	from, until time.Time // messages acknowledged between them count
	connections atomic.Int64
	failed      atomic.Bool
}

// again reports whether to open another connection.
func (r *run) again() bool {
	if r.failed.Load() {
		return false
	}
	if r.Connections > 0 {
		return r.connections.Add(1) <= int64(r.Connections)
	}
	return time.Now().Before(r.until)
}

// over reports whether to send no more messages.
func (r *run) over() bool {
	return r.failed.Load() || r.Connections == 0 && time.Now().After(r.until)
}

func (r *run) tally(senders []*sender, took time.Duration) (*Tally, error) {
	t := &Tally{number: r.number, Took: took, Time: r.Time}
	var errs []error
	for _, s := range senders {
		t.add(s)
		if s.err != nil {
			errs = append(errs, fmt.Errorf("sender %d: %w", s.number, s.err))
		}
	}
	if len(errs) > 0 {
		return t, fmt.Errorf("load on %s: %w", r.Addr, errors.Join(errs[:min(len(errs), 3)]...))
	}
	return t, t.checkResumption(r)
}

// A Tally has the results of a load.
type Tally struct {
	Took                 time.Duration // in all
	Time                 time.Duration // counted
	Connections, Resumed int
	Acknowledged         int // messages, in all
	Counted              int // messages acknowledged in Time

	number    int64
	bySender  []int
	latencies []time.Duration
}

func (t *Tally) add(s *sender) {
	t.Connections += s.connections
	t.Resumed += s.resumed
	t.Acknowledged += s.acknowledged
	t.Counted += s.counted
	t.bySender = append(t.bySender, s.acknowledged)
	t.latencies = append(t.latencies, s.latencies...)
}

// Rate returns the number of messages acknowledged a second.
func (t *Tally) Rate() float64 { return float64(t.Counted) / t.Time.Seconds() }

// Latency returns the median time from MAIL to the reply to the text.
func (t *Tally) Latency() time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[len(t.latencies)/2]
}

// checkResumption checks that all connections except the first of each sender resumed, or that
// none did, as the load requires.
func (t *Tally) checkResumption(r *run) error {
	if want := t.Connections - r.Senders; r.Resume && t.Resumed < want {
		return fmt.Errorf("load on %s: %d of %d connections resumed, want %d", r.Addr, t.Resumed, t.Connections, want)
	}
	if !r.Resume && t.Resumed > 0 {
		return fmt.Errorf("load on %s: %d connections resumed, want none", r.Addr, t.Resumed)
	}
	return nil
}
