package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
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
	var lost [2]average
	var resumed [2]percent
	for i, hosts := range [][]string{alone, shared} {
		attempts, err := attemptsLost(hosts, senders)
		if err != nil {
			return err
		}
		lost[i] = average(float64(attempts) / float64(senders))
		if resumed[i], err = resumedElsewhere(hosts, senders/10); err != nil {
			return err
		}
	}
	r.row(fmt.Sprintf("attempts lost by each of %d strict senders, one session with each of %d hosts", senders, fleetHosts), lost[0], lost[1])
	r.row("sessions that resume at another host", resumed[0], resumed[1])
	atMost(r, "attempts lost by a strict sender at four hosts in mode stock", lost[1], 1)
	atMost(r, "sessions that do not resume at another host", 100-resumed[1], 0)

	return measureFleetNews(s, p, r)
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
