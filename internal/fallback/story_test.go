package fallback

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/sessionticket"
)

func TestSenderGetsTheModeThatAvoidsItsClose(t *testing.T) {
	broken := inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Inconclusive)
	for _, test := range []struct {
		name   string
		client client
		first  sessionticket.Mode
		lost   []sessionticket.Mode
		ends   sessionticket.Mode
	}{
		{"a healthy one loses nothing", healthy, stock, nil, stock},
		{"a strict one loses one to an early ticket", earlyTicket, stock, []sessionticket.Mode{stock}, ownWrite},
		{"a strict one loses nothing to a late ticket", earlyTicket, ownWrite, nil, ownWrite},
		{"one that refuses tickets does not get one at another time", refusesTickets, ownWrite, []sessionticket.Mode{ownWrite}, noTicket},
		{"nor if the first was early", refusesTickets, stock, []sessionticket.Mode{stock, ownWrite}, noTicket},
		{"one that fails over ticket and data in one read keeps tickets", ticketWithData, firstWrite, []sessionticket.Mode{firstWrite, firstWrite}, ownWrite},
		{"one that fails over a ticket in any shared read does not meet a second one", sharedRead, stock, []sessionticket.Mode{stock}, ownWrite},
		{"TLS 1.2 is tried after two closes, once", intolerant13, ownWrite, []sessionticket.Mode{ownWrite, ownWrite}, ownWrite},
		{"a ticket in the flight is ruled out first", intolerant13, stock, []sessionticket.Mode{stock, ownWrite, ownWrite}, ownWrite},
		{"it is tried from no-ticket too", intolerant13, noTicket, []sessionticket.Mode{noTicket, noTicket}, noTicket},
		{
			"if the remedy does not help, the others are tried",
			inOrder(handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight),
			firstWrite, []sessionticket.Mode{firstWrite, firstWrite, tls12}, ownWrite,
		},
		{
			"one that answers TLS 1.2 with an alert does not stay there",
			client{noTicket: handshake.Worked, ownWrite: handshake.ClosedAfterFlight, firstWrite: handshake.ClosedAfterFlight},
			firstWrite, []sessionticket.Mode{firstWrite, firstWrite, tls12, ownWrite}, noTicket,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := New(test.first), from("192.0.2.7", "a")
			if lost := test.client.deliver(t, l, s, epoch); !slices.Equal(lost, test.lost) {
				t.Errorf("it lost attempts in %v, want %v", lost, test.lost)
			}
			wantMode(t, l, s, epoch.Add(2*time.Hour), test.ends)
		})
	}
	t.Run("one that no mode helps stays in the initial mode", func(t *testing.T) {
		l, s := New(ownWrite), from("192.0.2.7", "a")
		for range 4 {
			alwaysFails.connect(l, s, epoch)
		}
		wantMode(t, l, s, epoch, ownWrite)
	})
	t.Run("an alert below does not make it loop", func(t *testing.T) {
		l, s := New(ownWrite), from("192.0.2.7", "a")
		var offered []sessionticket.Mode
		for range 6 {
			mode, _, _ := broken.connect(l, s, epoch)
			offered = append(offered, mode)
		}
		want := []sessionticket.Mode{ownWrite, ownWrite, tls12, noTicket, ownWrite, ownWrite}
		if !slices.Equal(offered, want) {
			t.Errorf("it had modes %v, want %v", offered, want)
		}
	})
}

// A sender that fails only when it resumes completed a handshake before. It needs a full
// handshake, not TLS 1.2.
func TestSenderThatFailsWhenItResumesGetsNoTicket(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	for range 4 {
		l.Learn(s, ownWrite, handshake.Worked, epoch)
		l.Learn(s, ownWrite, handshake.ClosedAfterFlight, epoch)
	}
	wantMode(t, l, s, epoch, noTicket)
}

func TestSenderFallsBackAtTheThirdFailureInAModeThatWorked(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	for range 1000 {
		l.Learn(s, stock, handshake.Worked, epoch)
	}
	for range 2 {
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch)
		wantMode(t, l, s, epoch, stock)
	}
	decisions := l.Learn(s, stock, handshake.ClosedAfterFlight, epoch)
	wantMode(t, l, s, epoch, ownWrite)
	if len(decisions) != 1 || !strings.Contains(decisions[0].Why, "1000 completed sessions") {
		t.Errorf("decisions: %+v", decisions)
	}
}

// A sender that has just recovered loses one message if that was too soon, and no more. Only TLS 1.2,
// which is weaker, has to show again that it helps.
func TestOneCloseUndoesARecovery(t *testing.T) {
	for _, test := range []struct {
		name       string
		client     client
		initial    sessionticket.Mode
		back, then sessionticket.Mode // what it recovers to, and what it gets after a close
	}{
		{"to a ticket", refusesTickets, ownWrite, ownWrite, noTicket},
		{"to a ticket, from an early one", refusesTickets, stock, ownWrite, noTicket},
		{"from TLS 1.2", intolerant13, ownWrite, noTicket, noTicket},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := New(test.initial), from("192.0.2.7", "a")
			test.client.settle(t, l, s, epoch)
			now := epoch.Add(7 * 24 * time.Hour)
			if mode, _ := l.Choose(s, now); mode != test.back {
				t.Fatalf("a week later it is retried in %v, want %v", mode, test.back)
			}
			l.Learn(s, test.back, handshake.Worked, now)
			wantMode(t, l, s, now, test.back)
			l.Learn(s, test.back, handshake.ClosedAfterFlight, now)
			wantMode(t, l, s, now, test.then)
		})
	}
}

func TestAllModesAreTriedAgainAfterASuccess(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	onlyStock := inOrder(handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight)
	lost := onlyStock.deliver(t, l, s, epoch.Add(time.Hour))
	if want := []sessionticket.Mode{ownWrite, ownWrite, ownWrite, noTicket}; !slices.Equal(lost, want) {
		t.Errorf("it lost attempts in %v, want %v", lost, want)
	}
	wantMode(t, l, s, epoch.Add(3*time.Hour), stock)
}

func TestRareFailuresChangeNothing(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	for i := range 10_000 {
		end := handshake.Worked
		if i%25 == 24 {
			end = handshake.ClosedAfterFlight
		}
		if decisions := l.Learn(s, ownWrite, end, epoch); decisions != nil {
			t.Fatalf("handshake %d: %+v", i, decisions)
		}
	}
}

func TestTwoFingerprintsInOneNetworkAreIndependent(t *testing.T) {
	l := New(stock)
	good, bad := from("192.0.2.7", "good"), from("192.0.2.8", "bad")
	for range 100 {
		healthy.deliver(t, l, good, epoch)
	}
	if lost := earlyTicket.deliver(t, l, bad, epoch); len(lost) != 1 {
		t.Errorf("the strict one lost attempts on %v, want one", lost)
	}
	wantMode(t, l, good, epoch, stock)
	wantMode(t, l, from("192.0.2.9", "bad"), epoch, ownWrite)
}

// Two clients with one network and fingerprint share a mode that works for both, and retries
// become rarer.
func TestTwoKindsWithOneFingerprintSettle(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	lost := 0
	for hour := range 30 * 24 {
		now := epoch.Add(time.Duration(hour) * time.Hour)
		healthy.connect(l, s, now)
		healthy.connect(l, s, now.Add(time.Minute))
		for _, end, _ := earlyTicket.connect(l, s, now.Add(30*time.Minute)); end != handshake.Worked; _, end, _ = earlyTicket.connect(l, s, now.Add(45*time.Minute)) {
			lost++
		}
	}
	if lost > 3+7 { // until it falls back, and with each retry
		t.Errorf("the strict one lost %d attempts in a month", lost)
	}
}

func TestOutcomesInAnEarlierModeChangeNothing(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	for range 10 {
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch) // they began together
	}
	wantMode(t, l, s, epoch, ownWrite)
	l.Learn(s, stock, handshake.Worked, epoch)
	wantMode(t, l, s, epoch, ownWrite)
}

func TestInconclusiveOutcomesChangeNothing(t *testing.T) {
	for name, past := range map[string]func(l *Selector, s Sender){
		"unknown":                   func(*Selector, Sender) {},
		"completed in a safer mode": func(l *Selector, s Sender) { refusesTickets.deliver(t, l, s, epoch) },
		"never completed":           func(l *Selector, s Sender) { l.Learn(s, firstWrite, handshake.ClosedAfterFlight, epoch) },
	} {
		l, s := New(ownWrite), from("192.0.2.7", "a")
		past(l, s)
		before, _ := l.Choose(s, epoch)
		for range 100 {
			if decisions := l.Learn(s, before, handshake.Inconclusive, epoch); decisions != nil {
				t.Fatalf("%s: decisions: %+v", name, decisions)
			}
		}
		wantMode(t, l, s, epoch, before)
	}
	l := New(ownWrite)
	l.Learn(from("192.0.2.7", "a"), ownWrite, handshake.Inconclusive, epoch)
	if states := l.Changed(); states != nil {
		t.Errorf("an inconclusive outcome is stored: %+v", states)
	}
}

func TestCloseAfterATicketThatWasNotSentIsInconclusive(t *testing.T) {
	for _, mode := range []sessionticket.Mode{noTicket, tls12} {
		l, s := New(mode), from("192.0.2.7", "a")
		if decisions := l.Learn(s, mode, handshake.ClosedAfterTicket, epoch); decisions != nil || l.Changed() != nil {
			t.Errorf("in %v it counts: %+v", mode, decisions)
		}
	}
}

func TestDecisionsSayWhy(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	var decided []Decision
	note := func(mode sessionticket.Mode, end handshake.Outcome, now time.Time) {
		decided = append(decided, l.Learn(s, mode, end, now)...)
	}
	note(stock, handshake.ClosedAfterFlight, epoch)
	note(ownWrite, handshake.Worked, epoch)
	mode, _ := l.Choose(s, epoch.Add(7*time.Hour))
	note(mode, handshake.ClosedAfterFlight, epoch.Add(7*time.Hour))
	note(ownWrite, handshake.Worked, epoch.Add(8*time.Hour))
	mode, _ = l.Choose(s, epoch.Add(24*time.Hour))
	note(mode, handshake.Worked, epoch.Add(24*time.Hour))

	want := []struct {
		kind     Kind
		from, to sessionticket.Mode
		why      string
	}{
		{FellBack, stock, ownWrite, "closed silently after our flight in mode stock; no session from 192.0.2.0/24 with this fingerprint has completed in that mode"},
		{RetryFailed, stock, ownWrite, "retried and closed silently after our flight; mode own-write works"},
		{Recovered, ownWrite, stock, "retried mode stock and completed"},
	}
	if len(decided) != len(want) {
		t.Fatalf("decisions: %+v", decided)
	}
	for i, w := range want {
		d := decided[i]
		if d.Kind != w.kind || d.From != w.from || d.To != w.to || d.Why != w.why || d.Network != admission.Network(s.Addr) || d.Fingerprint != "a" {
			t.Errorf("decision %d: %+v, want %+v", i, d, w)
		}
	}
}

func TestOneConnectionRetriesALessCompatibleMode(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	wantMode(t, l, s, due, stock)
	for range 10 {
		wantMode(t, l, s, due, ownWrite) // while the retry is under way
	}
	l.Learn(s, stock, handshake.ClosedAfterFlight, due)
	wantMode(t, l, s, due.Add(time.Minute), ownWrite)
}

func TestOneOfManyConcurrentConnectionsRetries(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	var tries atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if mode, _, _ := earlyTicket.connect(l, s, due); mode == stock {
				tries.Add(1)
			}
		})
	}
	all.Wait()
	if n := tries.Load(); n != 1 {
		t.Errorf("%d connections retried, want one", n)
	}
}

func TestRetriesBecomeRarer(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	var waits []time.Duration
	last := epoch.Add(15 * time.Minute)
	for now := epoch; now.Before(epoch.Add(70 * 24 * time.Hour)); now = now.Add(15 * time.Minute) {
		if _, end, _ := earlyTicket.connect(l, s, now); end != handshake.Worked {
			waits = append(waits, now.Sub(last).Round(time.Hour))
			last = now
		}
	}
	const h = time.Hour
	want := []time.Duration{6 * h, 12 * h, 24 * h, 48 * h, 96 * h, 192 * h, 336 * h, 336 * h, 336 * h}
	if !slices.Equal(waits, want) {
		t.Errorf("retries after %v, want %v", waits, want)
	}
}

// A sender that connects less often than retries are due would otherwise get nothing else.
func TestNoSenderLosesTwoAttemptsInARowToRetries(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	lostInARow := 0
	for day := range 29 {
		_, end, _ := earlyTicket.connect(l, s, epoch.Add(time.Duration(day)*26*time.Hour))
		if end == handshake.Worked {
			lostInARow = 0
		} else if lostInARow++; lostInARow > 1 {
			t.Fatalf("day %d: lost twice in a row", day)
		}
	}
}

func TestFixedSenderRecovers(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	intolerant13.settle(t, l, s, epoch)
	var offered []sessionticket.Mode
	for now := epoch.Add(4 * time.Hour); now.Before(epoch.Add(34 * time.Hour)); now = now.Add(time.Hour) {
		mode, _, _ := healthy.connect(l, s, now)
		offered = append(offered, mode)
	}
	if want := []sessionticket.Mode{tls12, noTicket, ownWrite, stock}; !slices.Equal(slices.Compact(offered), want) {
		t.Errorf("it had modes %v, want %v", slices.Compact(offered), want)
	}
}

// After one success a mode is not trusted like one that has worked for long.
func TestOneFailureUndoesARecovery(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	now := epoch.Add(7 * time.Hour)
	if mode, _, _ := healthy.connect(l, s, now); mode != stock {
		t.Fatalf("it has mode %v", mode)
	}
	earlyTicket.connect(l, s, now)
	wantMode(t, l, s, now, ownWrite)
}

// It is trusted after 16 more, as many as outweigh one failure; after 15 if the mode that would
// follow has to help in a trial first.
func TestARecoveredModeIsTrustedInTime(t *testing.T) {
	for _, test := range []struct {
		client    client
		initial   sessionticket.Mode
		completed int
		want      sessionticket.Mode
	}{
		{earlyTicket, stock, 15, ownWrite},
		{earlyTicket, stock, 16, stock},
		{refusesTickets, ownWrite, 14, noTicket},
		{refusesTickets, ownWrite, 15, ownWrite},
	} {
		l, s := New(test.initial), from("192.0.2.7", "a")
		test.client.settle(t, l, s, epoch)
		now := epoch.Add(10 * time.Hour)
		for range 1 + test.completed { // the first is the retry
			healthy.connect(l, s, now)
		}
		test.client.connect(l, s, now)
		if mode, why := l.Next(s, now); mode != test.want {
			t.Errorf("after %d more in %v: mode %v, %s, want %v", test.completed, test.initial, mode, why, test.want)
		}
	}
}

func TestRetryWithoutAnOutcomeIsNotRepeatedAtOnce(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	wantMode(t, l, s, due, stock) // and its outcome never arrives
	earlyTicket.connect(l, s, due.Add(time.Minute))
	wantMode(t, l, s, due.Add(11*time.Hour), ownWrite)
	wantMode(t, l, s, due.Add(13*time.Hour), stock)
}

func TestClockSetBackDelaysNothingForLong(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	earlyTicket.deliver(t, l, s, epoch.AddDate(30, 0, 0))
	lost := 0
	for now := epoch; now.Before(epoch.AddDate(0, 1, 0)); now = now.Add(time.Hour) {
		if _, end, _ := earlyTicket.connect(l, s, now); end != handshake.Worked {
			lost++
		}
	}
	if lost == 0 || lost > 7 {
		t.Errorf("stock was retried %d times in a month", lost)
	}
}
