package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureFleetCost compares the CPU time of a message at a host that shares its handshakes with that
// at a host alone, and counts what a session sends and receives.
func measureFleetCost(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	program, check := build(s, "./cmd/postern"), countedBy(sink)
	secret := filepath.Join(s.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(fleetSecret), 0o600); err != nil {
		return err
	}
	nats := testpeer.StartNATS(s, 1)[0].URL
	wire, err := countWire(s, nats)
	if err != nil {
		return err
	}
	member := func(name, nats string) (postern, error) {
		more := fmt.Sprintf("[fleet]\nname = %q\nservers = [%q]\nsecret-file = %q\n", name, nats, secret)
		host := startConfigured(s, program, cert, "smtp://"+sink.Addr, more)
		return host, await(func() error { return hasLogged(host.output, "fleet connected") })
	}
	alone := startProgram(s, program, cert, "smtp://"+sink.Addr)
	shared, err := member("mx1", wire.URL)
	if err != nil {
		return err
	}
	if _, err := member("mx2", nats); err != nil { // takes in what mx1 shares
		return err
	}
	var sessions int
	contenders := []contender{
		p.settled("alone", alone.addr, cert.TLS.Leaf, check),
		p.settled("in a fleet", shared.addr, cert.TLS.Leaf, func(t *load.Tally) error {
			sessions += t.Connections
			return check(t)
		}),
	}
	r.header("at once", "a connection", "handshake", "alone", "in a fleet", "CPU to alone", "bytes a session, both ways")
	for _, how := range []pattern{{20, 1, false}, {20, 20, false}} {
		sessions = 0
		before := wire.bytes.Load()
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		more := all[1].cpuOver(all[0])
		r.row(how.cells(all[0].rateAndCPU(), all[1].rateAndCPU(), more, (wire.bytes.Load()-before)/int64(max(sessions, 1)))...)
		atMost(r, fmt.Sprintf("server CPU of a message in a fleet to that alone, %s", how), more, 1.03)
	}
	return nil
}

// settle is how long after a load what it caused still counts as its cost: rows are written and shared
// in batches.
const settle = 4 * time.Second

// settled is server with the CPU time that the server uses after the load, too.
func (p plan) settled(name, addr string, cert *x509.Certificate, check checkFunc) contender {
	return p.serverUntil(name, addr, cert, check, func() { time.Sleep(settle) })
}

// A wire is a connection to a NATS server whose bytes are counted, both ways.
type wire struct {
	URL   string // in place of the server's
	bytes atomic.Int64
}

func countWire(s *testpeer.Scope, server string) (*wire, error) {
	to, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { listener.Close() })
	backend := to.Host
	to.Host = listener.Addr().String()
	w := &wire{URL: to.String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go w.relay(conn, backend)
		}
	}()
	return w, nil
}

// relay passes a connection on until one side closes it.
func (w *wire) relay(client net.Conn, backend string) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		w.copy(server, client)
	}()
	w.copy(client, server)
}

func (w *wire) copy(to io.Writer, from io.Reader) {
	_, _ = io.Copy(counter{to, &w.bytes}, from) // ends with the connection
}

// A counter counts what is written.
type counter struct {
	io.Writer
	bytes *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	c.bytes.Add(int64(len(b)))
	return c.Writer.Write(b)
}
