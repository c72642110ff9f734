package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/ledger"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
	"postern/sessionticket/strictclient"
)

// A fleet is several hosts that share through NATS.
type fleet struct {
	t      *testing.T
	nats   []*testpeer.NATS
	secret string // file
	more   string // of each host's configuration
	hosts  []*postern
	visit  func(f func() error) error // calls f where senders are
	from   string                     // address of the sender that resumes; empty: any
	taken  map[int]int                // messages that each host has accepted
}

// startFleet starts hosts named mx0, mx1 and so on, and as many NATS servers as it is told.
func startFleet(t *testing.T, servers, hosts int, args ...string) *fleet {
	t.Helper()
	return startFleetAt(t, make([]testpeer.NATSPlace, servers), hosts, args...)
}

// startFleetAt is like startFleet, with servers at these places.
func startFleetAt(t *testing.T, servers []testpeer.NATSPlace, hosts int, args ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, nats: testpeer.StartNATSAt(t, servers...), secret: writeSecret(t), visit: func(f func() error) error { return f() }, taken: make(map[int]int)}
	for i := range hosts {
		f.hosts = append(f.hosts, f.startHost(fmt.Sprintf("mx%d", i), t.TempDir(), f.secret, args...))
	}
	for _, p := range f.hosts {
		p.await(0, `msg="fleet connected"`)
	}
	return f
}

// writeSecret writes a fleet's secret and returns the file.
func writeSecret(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// startHost starts one host, and does not wait until it shares.
func (f *fleet) startHost(name, data, secret string, args ...string) *postern {
	f.t.Helper()
	var urls []string
	for _, s := range f.nats {
		urls = append(urls, s.URL)
	}
	return startWith(f.t, data, append(args, "--config", f.configure(name, secret, urls))...)
}

// configure writes a host's configuration and returns the file.
func (f *fleet) configure(name, secret string, servers []string) string {
	f.t.Helper()
	config := filepath.Join(f.t.TempDir(), name+".toml")
	text := fmt.Sprintf("[fleet]\nservers = [\"%s\"]\nname = %q\nsecret-file = %q\n%s", strings.Join(servers, `", "`), name, secret, f.more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return config
}

// delivers delivers a message at a host as a strict sender, from an address or from any.
func (f *fleet) delivers(host int, from string, config *tls.Config) (resumed bool, err error) {
	err = f.visit(func() error {
		resumed, err = deliverStrictlyAs("strict.test", from, f.hosts[host].addr, config)
		return err
	})
	if err == nil {
		f.taken[host]++
	}
	return resumed, err
}

// visits returns the TLS config of a client that takes all hosts for one name, with the sessions
// that it has.
func visits() *tls.Config {
	config := testsmtp.OpportunisticTLS()
	config.ServerName = "mx.test"
	return config
}

// requireResumed delivers at each host with the session of the one before.
func (f *fleet) requireResumed(config *tls.Config) {
	f.t.Helper()
	for i := range f.hosts {
		if resumed, err := f.delivers(i, f.from, config); err != nil || !resumed {
			f.t.Errorf("at mx%d: resumed %v, %v", i, resumed, err)
		}
	}
}

// awaitMode waits until a host answers the sender in that mode because another host said so.
func (f *fleet) awaitMode(host, from int, mode string) {
	f.t.Helper()
	f.awaitDecision(host, "127.0.0.1", "fell-back, from stock to "+mode, fmt.Sprintf("host mx%d: ", from))
}

// awaitDecision waits until a host itself has changed the mode of a sender: it also shows the decisions
// of others.
func (f *fleet) awaitDecision(host int, sender, change, why string) {
	f.t.Helper()
	eventually(f.t, func() error {
		reader := f.hosts[host].reader(f.t)
		defer reader.Close()
		decisions, err := reader.Decisions(f.t.Context(), ledger.Filter{Sender: sender, Host: fmt.Sprintf("mx%d", host)})
		if err != nil {
			return err
		}
		for _, d := range decisions {
			if change == fmt.Sprintf("%s, from %s to %s", d.Kind, d.From, d.To) && strings.HasPrefix(d.Why, why) {
				return nil
			}
		}
		return fmt.Errorf("mx%d has decided %+v, want %s", host, decisions, change)
	})
}

// A sender that has a session of one host resumes it at all others, also when NATS is gone, and
// after a restart without it.
func TestSenderResumesAtEveryHost(t *testing.T) {
	f := startFleet(t, 3, 4)
	config := visits()
	if _, err := deliverStrictly(f.hosts[0].addr, config); err != nil {
		t.Fatal(err)
	}
	f.requireResumed(config)

	for _, s := range f.nats {
		s.Kill()
	}
	f.hosts[1].await(0, `msg="fleet unreachable; this host goes on alone and tries again"`)
	f.requireResumed(config)
	f.hosts[2].terminate()
	f.hosts[2] = f.startHost("mx2", f.hosts[2].data, f.secret)
	f.requireResumed(config)
}

// A strict sender fails once in mode stock, at one host. All others know within a moment.
func TestSenderThatFailedAtOneHostDeliversAtTheNext(t *testing.T) {
	f := startFleet(t, 3, 4, "--mode", "stock")
	f.hosts[0].meetEarlyTicket(visits())
	for i := range f.hosts[1:] {
		f.awaitMode(i+1, 0, "own-write")
	}
	for i, p := range f.hosts {
		if _, err := deliverStrictly(p.addr, visits()); err != nil {
			t.Errorf("at mx%d: %v", i, err)
		}
	}
	stored := f.stored()
	for _, secret := range []string{"own-write", "t13d", "closed silently"} {
		if strings.Contains(stored, secret) {
			t.Errorf("NATS has stored %q in clear", secret)
		}
	}
}

// stored returns all that the NATS servers have on disk.
func (f *fleet) stored() string {
	var all strings.Builder
	for _, s := range f.nats {
		_ = filepath.WalkDir(s.Store(), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				content, _ := os.ReadFile(path)
				all.Write(content)
			}
			return nil
		})
	}
	if !strings.Contains(all.String(), "postern-senders") {
		f.t.Error("the stored files do not even have the bucket's name")
	}
	return all.String()
}

// What a host learns while NATS is away is there for all once it is back. Mail never waits.
func TestHostsCatchUpWhenNATSIsBack(t *testing.T) {
	f := startFleet(t, 1, 2, "--mode", "stock")
	f.nats[0].Kill()
	for _, p := range f.hosts {
		p.await(0, `msg="fleet unreachable`)
	}
	f.hosts[0].meetEarlyTicket(visits())
	if _, err := deliverStrictly(f.hosts[0].addr, visits()); err != nil {
		t.Fatalf("the second attempt, without NATS: %v", err)
	}
	f.nats[0].Start()
	f.awaitMode(1, 0, "own-write")
	if _, err := deliverStrictly(f.hosts[1].addr, visits()); err != nil {
		t.Errorf("at mx1: %v", err)
	}
	for i, p := range f.hosts {
		if n := p.log.count("fleet unreachable"); n != 1 {
			t.Errorf("mx%d logged %d times that the fleet is unreachable, want once", i, n)
		}
	}
}

// A cluster of three can lose any one of its servers, the leaders too.
func TestFleetOutlivesEachNATSServer(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, 2, "--mode", "stock")
	for i, s := range f.nats {
		s.Kill()
		from := fmt.Sprintf("127.0.%d.1", i+1)
		f.hosts[0].meetEarlyTicketFrom(from, visits())
		f.awaitDecision(1, from, "fell-back, from stock to own-write", "host mx0: ")
		if _, err := deliverStrictlyAs("strict.test", from, f.hosts[1].addr, visits()); err != nil {
			t.Errorf("without server %d, at the other host: %v", i, err)
		}
		s.Start()
	}
}

// A host whose account NATS refuses goes on alone, and shares once the operator has corrected that.
func TestHostWaitsForItsAccount(t *testing.T) {
	f := startFleet(t, 1, 1)
	f.nats[0].Stop()
	f.nats[0].StartRefusing()
	p := f.startHost("mx1", t.TempDir(), f.secret)
	p.await(0, `msg="fleet unreachable`, "Authorization Violation")
	if _, err := deliverStrictly(p.addr, visits()); err != nil {
		t.Error(err)
	}
	f.nats[0].Stop()
	f.nats[0].Start()
	p.await(0, `msg="fleet connected"`)
	f.hosts = append(f.hosts, p)
	f.requireResumed(visitsAfter(t, f.hosts[0]))
}

// NATS of Debian 12, version 2.9, is enough.
func TestFleetSharesThroughAnOldNATS(t *testing.T) {
	f := startFleetAt(t, []testpeer.NATSPlace{{Debian: true}}, 2, "--mode", "stock")
	if _, err := f.delivers(0, "", visits()); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Fatalf("the first attempt: %v, want the client to close because of the early ticket", err)
	}
	f.awaitMode(1, 0, "own-write")
	f.requireResumed(visitsAfter(t, f.hosts[1]))
}

// A pin that the operator sets at one host holds at all. So does its removal at another that could not reach
// NATS then, and was killed before it could.
func TestPinHoldsAtEveryHost(t *testing.T) {
	f := startFleet(t, 1, 3)
	run := func(host int, args ...string) {
		t.Helper()
		if out, status := runPostern(t, append(args, "--data", f.hosts[host].data)...); status != 0 {
			t.Fatal(out)
		}
	}
	run(0, "senders", "pin", "127.0.0.0/24", "no-ticket", "--why", "a trial")
	for i := range f.hosts {
		f.awaitDecision(i, "127.0.0.1", "pinned, from own-write to no-ticket", "")
	}
	if resumed, err := deliverStrictly(f.hosts[2].addr, visitsAfter(t, f.hosts[2])); err != nil || resumed {
		t.Errorf("pinned to no-ticket: resumed %v, %v", resumed, err)
	}
	f.nats[0].Kill()
	run(1, "senders", "unpin", "127.0.0.0/24")
	f.awaitDecision(1, "127.0.0.1", "unpinned, from no-ticket to own-write", "")
	f.hosts[1].kill()
	f.hosts[1] = f.startHost("mx1", f.hosts[1].data, f.secret)
	f.nats[0].Start()
	for i := range f.hosts {
		f.awaitDecision(i, "127.0.0.1", "unpinned, from no-ticket to own-write", "")
	}
	f.requireResumed(visitsAfter(t, f.hosts[0]))
}

// A host with another secret can neither read nor change what the others share, and goes on alone.
func TestHostWithAnotherSecretIsAlone(t *testing.T) {
	f := startFleet(t, 1, 2)
	other := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(other, []byte(strings.Repeat("f", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := f.startHost("mx9", t.TempDir(), other)
	stranger.await(0, `msg="fleet unreachable`, "was not written with this secret-file")
	config := visits()
	for _, p := range append(f.hosts, stranger) {
		if _, err := deliverStrictly(p.addr, config); err != nil {
			t.Error(err)
		}
	}
	f.requireResumed(visitsAfter(t, f.hosts[0]))
	if resumed, err := deliverStrictly(stranger.addr, visitsAfter(t, f.hosts[0])); err != nil || resumed {
		t.Errorf("at the stranger: resumed %v, %v", resumed, err)
	}
}

// visitsAfter is visits after a first one at p.
func visitsAfter(t *testing.T, p *postern) *tls.Config {
	t.Helper()
	config := visits()
	if _, err := deliverStrictly(p.addr, config); err != nil {
		t.Fatal(err)
	}
	return config
}
