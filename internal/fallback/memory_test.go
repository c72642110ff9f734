package fallback

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/sessionticket"
)

const day = 24 * time.Hour

func TestStatesAreBounded(t *testing.T) {
	l := New(stock)
	l.senders.max, l.fingerprints.max = 100, 20
	for i := range 2000 {
		s := from(fmt.Sprintf("10.%d.%d.1", i%200, i/200), fmt.Sprint(i))
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch)
		l.Learn(s, ownWrite, handshake.Worked, epoch)
		if len(l.senders.entries) > 100 || len(l.fingerprints.entries) > 20 {
			t.Fatalf("there are states of %d senders and %d fingerprints", len(l.senders.entries), len(l.fingerprints.entries))
		}
	}
	if states := l.Changed(); len(states) > 120 {
		t.Errorf("%d states to store", len(states))
	}
	if l.Changed() != nil {
		t.Error("they are returned twice")
	}
}

// What is restored is bounded too: a ledger can have more states than memory has room for.
func TestRestoredStatesAreBounded(t *testing.T) {
	l, states := New(stock), []State(nil)
	for i := range 70_000 {
		network := admission.Network(netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1}))
		states = append(states, State{Network: network, Fingerprint: "a", Seen: epoch})
		if i < 5000 {
			states = append(states, State{Network: Everywhere, Fingerprint: fmt.Sprint(i), Seen: epoch})
		}
	}
	l.Restore(states, epoch)
	if n, m := len(l.senders.entries), len(l.fingerprints.entries); n != 65_536 || m != 4096 {
		t.Errorf("states of %d senders and %d fingerprints, want 65,536 and 4,096", n, m)
	}
}

func TestManySendersDoNotEvictAnother(t *testing.T) {
	for name, crowd := range map[string]func(i int) Sender{
		"many fingerprints in a neighbouring network": func(i int) Sender { return from("192.0.3.7", fmt.Sprint(i)) },
		"many networks of another provider":           func(i int) Sender { return from(fmt.Sprintf("2001:db8:%x::1", i), "a") },
	} {
		t.Run(name, func(t *testing.T) {
			l, s := New(stock), from("192.0.2.7", "a")
			l.senders.max = 100
			earlyTicket.deliver(t, l, s, epoch)
			for i := range 1000 {
				earlyTicket.deliver(t, l, crowd(i), epoch.Add(time.Hour))
			}
			wantMode(t, l, s, epoch.Add(2*time.Hour), ownWrite)
		})
	}
}

// The operator reads how many senders lost a mode that they needed.
func TestLeastRecentlySeenIsEvictedFirst(t *testing.T) {
	l := New(stock)
	l.senders.max = 16
	last := epoch.Add(16 * time.Minute)
	var decisions []Decision
	for i := range 17 {
		s := from(fmt.Sprintf("%d.0.0.1", i+1), fmt.Sprint(i))
		outcome := handshake.ClosedAfterFlight
		if i == 1 {
			outcome = handshake.Worked // stays in the initial mode
		}
		decisions = append(decisions, l.Learn(s, stock, outcome, epoch.Add(time.Duration(i)*time.Minute))...)
	}
	wantMode(t, l, from("1.0.0.1", "0"), last, stock)
	wantMode(t, l, from("3.0.0.1", "2"), last, ownWrite)
	if l.senders.entries[from("17.0.0.1", "16").key()] == nil {
		t.Error("the newest is evicted")
	}
	if len(l.senders.entries) != 15 {
		t.Errorf("%d states are left, want 15 of 16, so that not every new sender evicts one", len(l.senders.entries))
	}
	evicted := slices.DeleteFunc(decisions, func(d Decision) bool { return d.Kind != Forgotten })
	if len(evicted) != 1 || evicted[0].Why != "evicted 1 senders not in the initial mode" || !evicted[0].At.Equal(last) || evicted[0].Network.IsValid() {
		t.Errorf("decisions: %+v", evicted)
	}
}

func TestEvictionsThatChangeNoModeAreNoDecisions(t *testing.T) {
	l := New(stock)
	l.senders.max = 16
	for i := range 40 {
		if _, _, decisions := healthy.connect(l, from(fmt.Sprintf("%d.0.0.1", i+1), "a"), epoch); decisions != nil {
			t.Fatalf("decisions: %+v", decisions)
		}
	}
}

func TestOldStateIsForgotten(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.connect(l, s, epoch)
	wantMode(t, l, s, epoch.Add(30*day), ownWrite)
	late := epoch.Add(30*day + 1)
	wantMode(t, l, s, late, stock)
	decisions := l.Learn(s, stock, handshake.Worked, late)
	if len(decisions) != 1 || decisions[0].Kind != Forgotten || decisions[0].From != ownWrite {
		t.Errorf("decisions: %+v", decisions)
	}
}

func TestSenderKeepsItsModeAfterRestart(t *testing.T) {
	before := New(stock)
	s := from("192.0.2.7", "a")
	earlyTicket.deliver(t, before, s, epoch)
	after := New(stock)
	after.Restore(before.Changed(), epoch)
	if lost := earlyTicket.deliver(t, after, s, epoch); lost != nil {
		t.Errorf("it lost attempts in %v", lost)
	}
	if after.Changed() == nil {
		t.Error("its change since is not stored")
	}
	if wantMode(t, after, s, epoch, ownWrite); after.Changed() != nil {
		t.Error("an answer that changed nothing is stored")
	}
}

func TestRetryIsNotRepeatedAfterRestart(t *testing.T) {
	before := New(stock)
	s := from("192.0.2.7", "a")
	earlyTicket.deliver(t, before, s, epoch)
	before.Changed()
	due := epoch.Add(7 * time.Hour)
	wantMode(t, before, s, due, stock)
	after := New(stock)
	after.Restore(before.Changed(), due)
	wantMode(t, after, s, due, ownWrite)
}

func TestTrialIsNotRepeatedAfterRestart(t *testing.T) {
	before := New(ownWrite)
	s := from("192.0.2.7", "a")
	intolerant13.connect(before, s, epoch)
	intolerant13.connect(before, s, epoch)
	before.Changed()
	wantMode(t, before, s, epoch, tls12)
	after := New(ownWrite)
	after.Restore(before.Changed(), epoch)
	wantMode(t, after, s, epoch, ownWrite)
}

// Probes of the operator show what a new sender gets, and change nothing.
func TestProbeIsAnsweredLikeANewSender(t *testing.T) {
	l := New(stock)
	for _, addr := range []string{"192.0.2.7", "198.51.100.7", "2001:db8::7"} {
		earlyTicket.deliver(t, l, from(addr, "strict"), epoch)
	}
	refusesTickets.deliver(t, l, from("192.0.2.7", "a"), epoch)
	l.SetPins([]Pin{pin("203.0.113.0/24", tls12)}, epoch)
	l.Changed()
	for s, want := range map[Sender]sessionticket.Mode{
		from("192.0.2.7", "a"):        stock,
		from("192.0.2.7", "new"):      stock,
		from("192.0.2.7", "strict"):   ownWrite,
		from("198.18.0.1", "strict"):  ownWrite,
		from("203.0.113.1", "strict"): tls12,
	} {
		if mode := l.ChooseForProbe(s, epoch.Add(7*time.Hour)); mode != want {
			t.Errorf("a probe of %v %q is answered in %v, want %v", s.Addr, s.Fingerprint, mode, want)
		}
	}
	if changed := l.Changed(); changed != nil {
		t.Errorf("it changed %+v", changed)
	}
}

func TestInitialModeCanChangeBetweenRestarts(t *testing.T) {
	careful := New(noTicket)
	good, bad := from("192.0.2.7", "good"), from("192.0.2.7", "bad")
	healthy.deliver(t, careful, good, epoch)
	intolerant13.settle(t, careful, bad, epoch)
	states := careful.Changed()

	eager := New(stock)
	eager.Restore(states, epoch)
	wantMode(t, eager, good, epoch, stock)
	later := epoch.Add(4 * time.Hour)
	wantMode(t, eager, bad, later, tls12)

	earlyTicket.deliver(t, eager, good, epoch)
	again := New(noTicket)
	again.Restore(append(states, eager.Changed()...), later)
	wantMode(t, again, good, epoch, noTicket)
	wantMode(t, again, bad, later, tls12)
}

func TestRestoreIgnoresInvalidStates(t *testing.T) {
	l := New(stock)
	l.Restore([]State{
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: sessionticket.Mode(modes), Since: epoch, Seen: epoch},
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: tls12, Since: epoch, Seen: epoch, Retries: -1},
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: tls12, Since: epoch, Seen: epoch, Trial: sessionticket.Mode(modes)},
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: tls12, Since: epoch, Seen: epoch, Closers: make([]Closer, maxClosers+1)},
		{Network: admission.Network(from("198.51.100.7", "").Addr), Mode: tls12, Since: epoch, Seen: epoch}, // a valid one after them
	}, epoch)
	wantMode(t, l, from("192.0.2.7", ""), epoch, stock)
	wantMode(t, l, from("198.51.100.7", ""), epoch, tls12)
}

// A machine whose clock was lost starts in another year, and is set right later. No sender
// loses the mode that was learned.
func TestClockThatJumpsBetweenRestartsLosesNoMode(t *testing.T) {
	for name, jump := range map[string]time.Duration{"a day ahead": day, "40 days ahead": 40 * day, "4 years ahead": 4 * 365 * day, "a day back": -day, "a year back": -365 * day} {
		t.Run(name, func(t *testing.T) {
			first := New(ownWrite)
			s := from("192.0.2.7", "a")
			intolerant13.settle(t, first, s, epoch)
			states := first.Changed()
			for _, now := range []time.Time{epoch.Add(4*time.Hour + jump), epoch.Add(5 * time.Hour)} {
				next := New(ownWrite)
				next.Restore(states, now)
				for _, known := range next.senders.entries {
					if known.Seen.After(now) {
						t.Errorf("at %v it was last seen at %v, and would outlive all others", now, known.Seen)
					}
				}
				intolerant13.connect(next, s, now) // it may be a retry of TLS 1.3
				wantMode(t, next, s, now, tls12)
				for _, d := range next.Learn(s, tls12, handshake.Worked, now) {
					t.Errorf("a decision: %+v", d)
				}
				states = next.Changed()
			}
		})
	}
}

// A sender that needs TLS 1.2 now is not denied it for years because its network completed TLS 1.3
// while the clock ran ahead.
func TestClockThatRanAheadDoesNotHinderTLS12(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	l.Learn(s, ownWrite, handshake.Worked, epoch.Add(4*365*day))
	intolerant13.settle(t, l, s, epoch)
	wantMode(t, l, s, epoch.Add(4*time.Hour), tls12)
}
