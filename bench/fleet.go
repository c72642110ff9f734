package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

const (
	fleetHosts  = 4
	atOnce      = 250         // senders
	breath      = time.Second // of a sender between two attempts: others take minutes
	fleetSecret = "0123456789abcdef0123456789abcdef"
)

// measureFleet compares hosts that share through NATS with hosts that do not.
func measureFleet(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	program, servers := build(s, "./cmd/postern"), natsURLs(testpeer.StartNATS(s, 3))
	secret := filepath.Join(s.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(fleetSecret), 0o600); err != nil {
		return err
	}
	var alone, shared []string
	for i := range fleetHosts {
		alone = append(alone, startProgram(s, program, cert, "maildir", "--mode", "stock").addr)
		more := fmt.Sprintf("[fleet]\nname = \"mx%d\"\nservers = [\"%s\"]\nsecret-file = %q\n", i, strings.Join(servers, `", "`), secret)
		host := startConfigured(s, program, cert, "maildir", more, "--mode", "stock")
		shared = append(shared, host.addr)
		if err := await(func() error { return hasLogged(host.output, "fleet connected") }); err != nil {
			return err
		}
	}
	senders := p.handshakes / 2
	r.header("", "hosts alone", "fleet")
	var lost [2]factor
	var resumed [2]percent
	for i, hosts := range [][]string{alone, shared} {
		attempts, err := attemptsLost(hosts, senders)
		if err != nil {
			return err
		}
		lost[i] = factor(float64(attempts) / float64(senders))
		if resumed[i], err = resumedElsewhere(hosts, senders/10); err != nil {
			return err
		}
	}
	r.row(fmt.Sprintf("attempts lost by each of %d strict senders, one session with each of %d hosts", senders, fleetHosts), lost[0], lost[1])
	r.row("sessions that resume at another host", resumed[0], resumed[1])
	atMost(r, "attempts lost by a strict sender at four hosts in mode stock", lost[1], 1)
	atMost(r, "sessions that do not resume at another host", 100-resumed[1], 0)

	known, err := untilOthersKnow(natsURLs(testpeer.StartNATS(s, 3)), p.handshakes/2)
	if err != nil {
		return err
	}
	half, most := known[len(known)/2], known[len(known)*99/100]
	r.row("until another host knows, median and 99th percentile", "–", fmt.Sprintf("%v, %v", half, most))
	atMost(r, "until another host knows, 99th percentile", most, time.Second)
	return nil
}

func natsURLs(servers []*testpeer.NATS) (urls []string) {
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	return urls
}

func hasLogged(output, message string) error {
	text, err := os.ReadFile(output)
	if err == nil && !strings.Contains(string(text), message) {
		err = fmt.Errorf("%s has no line with %q", output, message)
	}
	return err
}

// addressOf returns the address of a sender, each in a network of its own.
func addressOf(sender int) net.IP { return net.IPv4(127, byte(1+sender/250), byte(1+sender%250), 1) }

// attemptsLost returns how many attempts fail until each of so many strict senders has completed a
// handshake with each host.
func attemptsLost(hosts []string, senders int) (int64, error) {
	var lost atomic.Int64
	err := eachOf(senders, func(i int) error {
		from := addressOf(i)
		for n := range hosts {
			for {
				_, err := connectStrictly(from, hosts[(i+n)%len(hosts)], tls.NewLRUClientSessionCache(1))
				if err == nil {
					break
				}
				if !errors.Is(err, strictclient.ErrEarlyTicket) {
					return err
				}
				lost.Add(1)
				time.Sleep(breath)
			}
		}
		return nil
	})
	return lost.Load(), err
}

// resumedElsewhere returns how many of the sessions begun at the first host resume at the others.
func resumedElsewhere(hosts []string, senders int) (percent, error) {
	var resumed, all atomic.Int64
	err := eachOf(senders, func(i int) error {
		sessions := tls.NewLRUClientSessionCache(1)
		from := addressOf(i) // known: it gets no early ticket
		for n, host := range hosts {
			did, err := connectStrictly(from, host, sessions)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			all.Add(1)
			if did {
				resumed.Add(1)
			}
		}
		return nil
	})
	return percent(100 * float64(resumed.Load()) / float64(max(all.Load(), 1))), err
}

// eachOf calls do for each sender, some at once, and returns the first error.
func eachOf(senders int, do func(i int) error) error {
	var (
		running sync.WaitGroup
		first   error
		once    sync.Once
		turns   = make(chan struct{}, atOnce)
	)
	for i := range senders {
		turns <- struct{}{}
		running.Go(func() {
			defer func() { <-turns }()
			if err := do(i); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	running.Wait()
	return first
}

// connectStrictly does a handshake as a client that refuses an early ticket, and reports whether it
// resumed a session.
func connectStrictly(from net.IP, host string, sessions tls.ClientSessionCache) (resumed bool, err error) {
	dialer := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := dialer.Dial("tcp", host)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	client, err := strictclient.StartTLS(conn, "strict.test", &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test", ClientSessionCache: sessions})
	if err != nil {
		return false, err
	}
	state, _ := client.TLSConnectionState()
	return state.DidResume, client.Quit()
}

// untilOthersKnow returns, in order, how long it takes until a second host knows of failures at the
// first one, one after the other, without mail.
func untilOthersKnow(servers []string, failures int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var selectors [2]*fallback.Selector
	decided := make(chan struct{}, failures)
	for i := range selectors {
		name := fmt.Sprintf("host%d", i)
		selectors[i] = fallback.New(sessionticket.Stock)
		selectors[i].Share(name)
		book := ledger.Open(filepath.Join(dir, name+".db"), ledger.Options{Host: name})
		defer book.Close()
		f, err := fleet.New(fleet.Settings{
			Servers: servers, Name: name, Prefix: "bench", Secret: []byte(fleetSecret), File: filepath.Join(dir, name),
			UseKeys: func([][32]byte) {}, Selector: selectors[i],
			Decided:   func([]fallback.Decision) { decided <- struct{}{} },
			ShowHosts: func([]fleet.Host) {},
			Events:    book,
			Now:       time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		running.Go(func() { f.Run(ctx) })
		if err := await(func() error {
			if problem := f.Status().Problem; problem != "" {
				return errors.New(problem)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	var took []time.Duration
	for i := range failures {
		sender := fallback.Sender{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), Fingerprint: "strict"}
		began := time.Now()
		selectors[0].Learn(sender, sessionticket.Stock, handshake.ClosedAfterFlight, began)
		select {
		case <-decided:
			took = append(took, time.Since(began))
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("after failure %d the other host knows nothing for a minute", i)
		}
	}
	slices.Sort(took)
	return took, nil
}
