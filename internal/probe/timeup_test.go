package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// expired is a context whose time is up.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	t.Cleanup(cancel)
	return ctx
}

// A beforeTimer is a context whose deadline has passed, but whose timer has not run yet.
type beforeTimer struct{ context.Context }

func (beforeTimer) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

// On a busy machine a connection ends at its deadline before the context with the same deadline does.
func TestTimeIsUpAtTheDeadline(t *testing.T) {
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	for ctx, want := range map[context.Context]bool{
		beforeTimer{t.Context()}: true, expired(t): true, beforeTimer{interrupted}: false, t.Context(): false,
	} {
		if timeIsUp(ctx) != want {
			t.Errorf("%v: %v", ctx, !want)
		}
	}
}

// tardy accepts all connections, and greets the first few only.
type tardy struct {
	net.Listener
	left atomic.Int32
}

func (l *tardy) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.left.Add(-1) >= 0 {
			return conn, err
		}
		go func() { // until the client has no more time
			conn.Read(make([]byte, 1))
			conn.Close()
		}()
	}
}

// probeTardy probes a server that greets six clients only.
func probeTardy(t *testing.T, limit time.Duration) (*Address, map[string]Finding) {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	late := &tardy{Listener: listener}
	late.left.Store(6)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return silent{}, nil }))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	go server.Serve(late)
	t.Cleanup(func() { server.Close() })

	r, err := (&Prober{RootCAs: pair.Pool, Timeout: limit}).Probe(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := r.Hosts[0].Addresses[0]
	ids := make(map[string]Finding)
	for _, f := range a.Findings {
		ids[f.ID] = f
	}
	return a, ids
}

// A server that greets each client after eight seconds is up: the probe has had no time for all
// of its checks.
func TestTimeThatIsUpIsNoFaultOfTheServer(t *testing.T) {
	t.Parallel()
	limit := 4 * time.Second
	a, ids := probeTardy(t, limit)
	for a.probe.firstTook > limit/2 && limit < time.Minute { // a busy machine
		limit *= 2
		a, ids = probeTardy(t, limit)
	}
	up := ids["time-up"]
	if up.Severity != Unclear || !regexp.MustCompile(`^Time was up after `+brief(limit)+`: \d\d checks not made$`).MatchString(up.Title) || !regexp.MustCompile(`--timeout \d+[sm]$`).MatchString(up.Advice[0].Action) {
		t.Errorf("%+v", up)
	}
	for _, id := range []string{"stopped", "inconclusive", "unreachable", "no-greeting", "message-smuggling"} {
		if f, found := ids[id]; found {
			t.Errorf("also %+v", f)
		}
	}
	for _, run := range a.Runs {
		if run.Outcome == Inconclusive && run.Reason() != ErrTimeUp.Error() {
			t.Errorf("%s: %s", run.Persona.ID, run.Reason())
		}
	}
	if f := ids["healthy"]; f.Severity != OK || f.Title == "" {
		t.Errorf("what was observed is lost: %+v", f)
	}
}

// silent is a session without mail.
type silent struct{ smtp.Session }

func (silent) Reset()        {}
func (silent) Logout() error { return nil }

// The first client of an address may get its turn when the time is nearly up.
func TestAddressWithoutAnyTimeIsNotUnreachable(t *testing.T) {
	t.Parallel()
	healthy, _ := persona.Find(healthyID)
	p := &addressProbe{ctx: expired(t), healthy: healthy, limit: 2 * time.Minute, target: persona.Target{Addr: "127.0.0.1:1"}}
	p.runAll(persona.All(), false)
	var found []Finding
	for _, check := range checks {
		found = append(found, check(p)...)
	}
	if len(found) != 1 || found[0].ID != "time-up" || !strings.HasPrefix(found[0].Title, "Time was up after 2m: ") {
		t.Errorf("%+v", found)
	}
}

// A client that waited for half a minute has seen that the server says nothing.
func TestFirstClientWithEnoughTimeHasSeenTheServer(t *testing.T) {
	t.Parallel()
	p := &addressProbe{ctx: expired(t), limit: 2 * time.Minute}
	if p.hadTime(time.Now()) || !p.hadTime(time.Now().Add(-enoughTime)) {
		t.Error("it is not decided by the time that the client had")
	}
	p.limit = time.Second
	if !p.hadTime(time.Now().Add(-time.Second)) {
		t.Error("a client that had all the time is not believed")
	}
}

// A failure counts if a client that came after it completed the handshake.
func TestFailuresCountWhileTheServerIsKnownToBeUp(t *testing.T) {
	t.Parallel()
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	run := func(second int64, o Outcome) Run {
		return Run{Persona: &persona.Persona{ID: "p"}, Result: new(persona.Result), Outcome: o, began: at(second)}
	}
	completed, failed := &persona.Result{Completed: true}, new(persona.Result)
	for name, tt := range map[string]struct {
		last   *persona.Result // nil: not made
		runs   []Run
		want   []Outcome
		unmade int
	}{
		"time was up":            {nil, []Run{run(1, Failed), run(2, Completed), run(3, Failed)}, []Outcome{Failed, Completed, Inconclusive}, 1},
		"in any order":           {nil, []Run{run(3, Failed), run(1, Failed), run(2, Completed)}, []Outcome{Inconclusive, Failed, Completed}, 1},
		"none completed":         {nil, []Run{run(1, Failed), run(2, Failed)}, []Outcome{Inconclusive, Inconclusive}, 2},
		"the last one completed": {completed, []Run{run(1, Failed), run(2, Failed)}, []Outcome{Failed, Failed}, 0},
		"the last one failed":    {failed, []Run{run(1, Failed), run(2, Completed), run(3, Refused)}, []Outcome{Inconclusive, Completed, Refused}, 0},
	} {
		p := &addressProbe{first: completed, last: tt.last, runs: tt.runs}
		p.retractFailures()
		var got []Outcome
		for _, r := range p.runs {
			got = append(got, r.Outcome)
			if timeUp := errors.Is(r.Err, ErrTimeUp); timeUp != (r.Outcome == Inconclusive && tt.last == nil) {
				t.Errorf("%s: %v for want of time: %v", name, r.Outcome, timeUp)
			}
		}
		if !slices.Equal(got, tt.want) || len(p.unmade) != tt.unmade {
			t.Errorf("%s: %v, want %v; not made: %q", name, got, tt.want, p.unmade)
		}
	}
}

// Neither a record that was not looked up is missing, nor does a client fail with a session
// that it had no time to offer.
func TestChecksOfADomainWithoutTime(t *testing.T) {
	t.Parallel()
	r := &Report{Domain: "example.test", limit: 90 * time.Second}
	new(Prober).probeDomain(expired(t), newResolver("127.0.0.1:1", nil), r)
	for _, name := range []string{"127.0.0.1", "127.0.0.2"} {
		healthy, _ := persona.Find(healthyID)
		server := persona.Target{Addr: healthyServer(t)}
		probe := &addressProbe{host: name, healthy: healthy, target: server, first: healthy.Run(t.Context(), server)}
		if !probe.first.Resumable() {
			t.Fatalf("%+v", probe.first)
		}
		r.Hosts = append(r.Hosts, &Host{Name: name, Addresses: []*Address{{probe: probe}}})
	}
	r.resumeAcross(expired(t))
	if len(r.Findings) > 0 {
		t.Errorf("%+v", r.Findings)
	}
	found := timeUp(r.limit, 0, r.unmade)
	if len(found) != 1 || found[0].Title != "Time was up after 1m30s: 6 checks not made" || !strings.Contains(found[0].Evidence[0], "MTA-STS, DNSSEC, DANE, TLS reporting, session of ") {
		t.Errorf("%+v", found)
	}
}

func healthyServer(t *testing.T) (addr string) {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return silent{}, nil }))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// The advice is a time in which the other checks fit, as far as the first one shows it.
func TestTheAdviceOnTimeIsEnough(t *testing.T) {
	for _, tt := range []struct {
		limit, each time.Duration
		unmade      int
		want        string
	}{
		{2 * time.Minute, 0, 29, "4m"},
		{2 * time.Minute, 100 * time.Millisecond, 1, "4m"},
		{30 * time.Second, 6 * time.Second, 29, "2m"},
		{2 * time.Minute, 31 * time.Second, 29, "10m"},
		{10 * time.Second, 0, 1, "20s"},
	} {
		found := timeUp(tt.limit, tt.each, slices.Repeat([]string{"check"}, tt.unmade))
		if advice := found[0].Advice[0].Action; !strings.HasSuffix(advice, "--timeout "+tt.want) {
			t.Errorf("%+v: %s", tt, advice)
		}
	}
}
