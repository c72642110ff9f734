package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	sharing "postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// A clockedHost is what a host shares, with a clock of its own. Its program would have one of the
// machine.
type clockedHost struct {
	settings sharing.Settings
	fleet    *sharing.Fleet
	selector *fallback.Selector
	ahead    time.Duration
	clock    *atomic.Int64 // of the world, in seconds
	tls      *tls.Config
	stop     func()
}

func (h *clockedHost) now() time.Time { return time.Unix(h.clock.Load(), 0).Add(h.ahead) }

// start starts the host, with what it has on disk.
func (h *clockedHost) start(t *testing.T) {
	t.Helper()
	h.selector = fallback.New(sessionticket.Stock)
	h.selector.Share(h.settings.Name)
	h.settings.Selector = h.selector
	var err error
	if h.fleet, err = sharing.New(h.settings); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.fleet.Run(ctx) })
	h.stop = func() { cancel(); running.Wait() }
	t.Cleanup(h.stop)
	eventually(t, func() error {
		if problem := h.fleet.Status().Problem; problem != "" {
			return fmt.Errorf("%s: %s", h.settings.Name, problem)
		}
		return nil
	})
}

// visit does a handshake with the host and reports whether the session was resumed.
func (h *clockedHost) visit(t *testing.T, config *tls.Config) (resumed bool) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		server := tls.Server(far, h.tls)
		_, err := server.Write([]byte("."))
		served <- err
	}()
	client := tls.Client(near, config)
	if _, err := client.Read(make([]byte, 1)); err != nil { // after the ticket
		t.Fatal(err, <-served)
	}
	return client.ConnectionState().DidResume
}

// startClockedHosts starts a host for each difference of clocks.
func startClockedHosts(t *testing.T, differ ...time.Duration) (hosts []*clockedHost, clock *atomic.Int64) {
	t.Helper()
	server, dir := testpeer.StartNATS(t, 1)[0], t.TempDir()
	pair := testcert.New(t, testcert.Options{NotAfter: time.Now().AddDate(1, 0, 0)}).TLS
	clock = new(atomic.Int64)
	clock.Store(time.Now().Unix())
	for i, ahead := range differ {
		h := &clockedHost{ahead: ahead, clock: clock}
		h.tls = &tls.Config{Certificates: []tls.Certificate{pair}, Time: h.now}
		name := fmt.Sprintf("mx%d", i)
		book := ledger.Open(filepath.Join(dir, name+".db"), ledger.Options{Log: slog.New(slog.DiscardHandler)})
		t.Cleanup(func() { book.Close() })
		h.settings = sharing.Settings{
			Access: sharing.Access{Servers: []string{server.URL}, Name: name, Prefix: "postern", Secret: []byte("0123456789abcdef0123456789abcdef")},
			File:   filepath.Join(dir, name), UseKeys: h.tls.SetSessionTicketKeys,
			Events: book, Pins: book,
			ShowHosts: func([]sharing.Host) {},
			Decided:   func([]fallback.Decision) {},
			Now:       h.now, Log: slog.New(slog.DiscardHandler),
		}
		h.start(t)
		hosts = append(hosts, h)
	}
	return hosts, clock
}

// The clocks of hosts differ by minutes, one by days. The key of tickets changes daily, made by the
// host that starts first after that, and not again by one with another clock; a sender resumes at every
// host on every day, and with a session of the day before.
func TestSenderResumesDaysLaterWhateverTheClocks(t *testing.T) {
	hosts, clock := startClockedHosts(t, -7*time.Minute, 0, 5*time.Minute, 11*time.Minute, 3*24*time.Hour)
	config := visits()
	config.Time = func() time.Time { return time.Unix(clock.Load(), 0) }
	hosts[0].visit(t, config)
	for day := range 5 {
		for i, h := range hosts {
			if !h.visit(t, config) {
				t.Errorf("day %d: no resumption at mx%d", day, i)
			}
		}
		clock.Add(25 * 60 * 60)
		turning := hosts[day%len(hosts)]
		turn := turning.fleet.Status().Turn
		turning.stop()
		turning.start(t)
		if turning.now().Sub(turning.fleet.Status().Since) > time.Hour {
			t.Errorf("day %d: mx%d did not change the key", day, day%len(hosts))
		}
		for i, h := range hosts {
			eventually(t, func() error {
				if got := h.fleet.Status().Turn; got != turn+1 {
					return fmt.Errorf("day %d: mx%d is at turn %d, want %d", day, i, got, turn+1)
				}
				return nil
			})
		}
	}
}

// What a host learned holds at others whose clocks are behind or ahead.
func TestHostsLearnFromEachOtherWhateverTheClocks(t *testing.T) {
	hosts, _ := startClockedHosts(t, -7*time.Minute, 0, 5*time.Minute, 11*time.Minute)
	for i, h := range hosts {
		sender := fallback.Sender{Addr: netip.AddrFrom4([4]byte{10, 77, byte(i), 1}), Fingerprint: "strict"}
		h.selector.Learn(sender, sessionticket.Stock, handshake.ClosedAfterFlight, h.now())
		for j, other := range hosts {
			eventually(t, func() error {
				if mode, why := other.selector.Choose(sender, other.now()); mode != sessionticket.OwnWrite {
					return fmt.Errorf("what mx%d learned is at mx%d mode %v: %s", i, j, mode, why)
				}
				return nil
			})
		}
	}
}
