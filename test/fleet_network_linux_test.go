package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/config"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/testdisk"
	"postern/internal/testpeer"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

// A fleetNetwork is a fleet whose hosts, NATS servers and senders are machines of one network.
type fleetNetwork struct {
	*fleet
	net      *lan
	senders  *node
	mx, n    []*node  // hosts and NATS servers
	disks    []string // of the NATS servers
	configs  []string // of the hosts
	programs [fleetHosts][]string
	seen     []string // addresses of the strict senders, each in a network of its own
}

const fleetHosts, fleetServers = 4, 3

// startFleetNetwork starts the servers and makes the machines of the hosts.
func startFleetNetwork(t *testing.T) *fleetNetwork {
	t.Helper()
	w := newLAN(t)
	f := &fleetNetwork{fleet: &fleet{t: t, secret: writeSecret(t), taken: make(map[int]int)}, net: w}
	f.senders = w.add("10.254.8.1")
	f.senders.run(t, "ip route add local 10.77.0.0/16 dev lo")
	f.visit = f.senders.in
	var places []testpeer.NATSPlace
	for i := range fleetServers {
		f.n = append(f.n, w.add(fmt.Sprintf("10.254.8.%d", 11+i)))
		f.disks = append(f.disks, testdisk.Mount(t, "size=16m"))
		places = append(places, testpeer.NATSPlace{IP: f.n[i].ip, Within: f.n[i].entering(), Store: f.disks[i]})
	}
	f.nats = testpeer.StartNATSAt(t, places...)
	for i := range fleetHosts {
		f.programs[i] = []string{program}
		f.mx = append(f.mx, w.add(fmt.Sprintf("10.254.8.%d", 21+i)))
	}
	return f
}

// startHosts starts the hosts, of which each has its way to the servers, their URLs. It returns the
// session that a sender has with the first host, once all share what they have learned of senders.
func (f *fleetNetwork) startHosts(way func(host int) []string) (session *tls.Config) {
	f.t.Helper()
	for i := range f.mx {
		f.configs = append(f.configs, f.configure(fmt.Sprintf("mx%d", i), f.secret, way(i)))
		f.hosts = append(f.hosts, f.startHost(i, f.t.TempDir()))
	}
	for _, p := range f.hosts {
		p.await(0, `msg="fleet connected"`)
	}
	f.meetStrictSenders()
	f.requireKnown()
	f.from, session = f.seen[0], visits()
	if _, err := f.delivers(0, f.from, session); err != nil {
		f.t.Error(err)
	}
	f.requireResumed(session)
	return session
}

// directly is the way to all servers.
func (f *fleetNetwork) directly(int) (urls []string) {
	for _, s := range f.nats {
		urls = append(urls, s.URL)
	}
	return urls
}

// startHost starts a host, and does not wait until it shares.
func (f *fleetNetwork) startHost(i int, data string) *postern {
	f.t.Helper()
	addr := net.JoinHostPort(f.mx[i].ip, "25")
	p := launchCommand(f.t, f.mx[i].command(append(slices.Clone(f.programs[i]),
		"serve", "--listen", addr, "--hostname", "mx.test", "--domain", "localhost", "--data", data,
		"--dashboard", "off", "--metrics", "off", "--mode", "stock", "--config", f.configs[i])...))
	p.data, p.addr = data, addr
	p.await(0, "  listens on ", addr)
	return p
}

// leader returns the server that leads the history of senders.
func (f *fleetNetwork) leader() int {
	f.t.Helper()
	conn, err := nats.Connect(strings.Join(f.directly(0), ","), nats.SetCustomDialer(f.senders))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, "KV_postern-senders")
	if err != nil {
		f.t.Fatal(err)
	}
	info := stream.CachedInfo()
	i := slices.IndexFunc(f.nats, func(s *testpeer.NATS) bool { return s.Name == info.Cluster.Leader })
	if i < 0 {
		f.t.Fatalf("no server is the leader %q", info.Cluster.Leader)
	}
	return i
}

// meetStrictSenders makes a new strict sender at each host fail, and deliver there at its second
// attempt.
func (f *fleetNetwork) meetStrictSenders() {
	f.t.Helper()
	for i, p := range f.hosts {
		f.seen = append(f.seen, fmt.Sprintf("10.77.%d.1", len(f.seen)))
		from, before := f.seen[len(f.seen)-1], p.log.length()
		if _, err := f.delivers(i, from, visits()); !errors.Is(err, strictclient.ErrEarlyTicket) {
			f.t.Fatalf("the first attempt at mx%d: %v, want the client to close because of the early ticket", i, err)
		}
		p.await(before, "msg=session", "case=early-ticket", "sender="+from)
		if _, err := f.delivers(i, from, visits()); err != nil {
			f.t.Errorf("the second attempt at mx%d: %v", i, err)
		}
	}
}

// requireKnown waits until all hosts know all strict senders, which then deliver everywhere at
// their first attempt.
func (f *fleetNetwork) requireKnown() {
	f.t.Helper()
	for i := range f.hosts {
		f.requireSaved(i)
		for _, from := range f.seen {
			if _, err := f.delivers(i, from, visits()); err != nil {
				f.t.Errorf("%s at mx%d: %v", from, i, err)
			}
		}
	}
}

// requireSaved waits until a host has on disk what it knows of the strict senders.
func (f *fleetNetwork) requireSaved(host int) {
	f.t.Helper()
	book, err := ledger.OpenReader(config.LedgerFile(f.hosts[host].data))
	if err != nil {
		f.t.Fatal(err)
	}
	defer book.Close()
	eventually(f.t, func() error {
		states, err := book.States(f.t.Context())
		if err != nil {
			return err
		}
		for _, from := range f.seen {
			if !slices.ContainsFunc(states, func(s fallback.State) bool {
				return s.Network.Contains(netip.MustParseAddr(from)) && s.Mode == sessionticket.OwnWrite
			}) {
				return fmt.Errorf("mx%d has not saved what it knows of %s", host, from)
			}
		}
		return nil
	})
}

// requireAllEvents waits until each host knows of all sessions at all hosts.
func (f *fleetNetwork) requireAllEvents() {
	f.t.Helper()
	var want []string
	for i := range f.hosts {
		at := fmt.Sprintf(" at mx%d", i)
		want = append(want, slices.Repeat([]string{"failed" + at}, len(f.seen)/len(f.hosts))...)
		want = append(want, slices.Repeat([]string{"delivered" + at}, f.taken[i])...)
	}
	slices.Sort(want)
	for i, p := range f.hosts {
		eventually(f.t, func() error {
			var got []string
			for _, outcome := range p.outcomes(f.t) {
				outcome = strings.Replace(outcome, "full", "delivered", 1)
				got = append(got, strings.Replace(outcome, "resumed", "delivered", 1))
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Errorf("mx%d knows of %d sessions, want %d: %q", i, len(got), len(want), got)
			}
			return nil
		})
		if n := p.log.count("fleet events missed"); n > 0 {
			f.t.Errorf("mx%d says %d times that it missed events", i, n)
		}
	}
}

// requireAllMail checks that each host has stored all that it accepted.
func (f *fleetNetwork) requireAllMail() {
	f.t.Helper()
	for i, p := range f.hosts {
		if got := len(p.maildir().messages(f.t)); got != f.taken[i] {
			f.t.Errorf("mx%d has %d messages, want the %d that it accepted", i, got, f.taken[i])
		}
	}
}

// requireShared waits until all hosts share. Each has logged so many times at most that it did not.
func (f *fleetNetwork) requireShared(times int) {
	f.t.Helper()
	for i, p := range f.hosts {
		eventually(f.t, func() error {
			lines := p.log.all(`msg="fleet `)
			if len(lines) == 0 || !strings.Contains(lines[len(lines)-1], `msg="fleet connected"`) {
				return fmt.Errorf("mx%d does not share: %q", i, lines)
			}
			return nil
		})
	}
	f.requireLogged(times)
}

// requireLogged checks that each host has logged so many times at most that it did not share, once it did.
func (f *fleetNetwork) requireLogged(times int) {
	f.t.Helper()
	for i, p := range f.hosts {
		lines := p.log.all(`msg="fleet `)
		first := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, `msg="fleet connected"`) })
		alone := 0
		for _, line := range lines[max(first, 0):] {
			if strings.Contains(line, `msg="fleet unreachable`) {
				alone++
			}
		}
		if alone > times {
			f.t.Errorf("mx%d has logged %d times that it is alone, want %d: %s", i, alone, times, strings.Join(lines, "\n"))
		}
	}
}
