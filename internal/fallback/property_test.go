package fallback

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/handshake"
	"postern/sessionticket"
)

// An event is anything that can happen: a sender connects, and an outcome arrives, which may
// be in another mode.
type event struct {
	sender Sender
	at     sessionticket.Mode
	end    handshake.Outcome
	after  time.Duration
}

var (
	anyMode    = rapid.Map(rapid.IntRange(0, modes-1), func(i int) sessionticket.Mode { return sessionticket.Mode(i) })
	anyOutcome = rapid.SampledFrom([]handshake.Outcome{handshake.Inconclusive, handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterTicket, handshake.ClosedAfterReply})
	anyWait    = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Minute, 7 * time.Hour, 3 * 24 * time.Hour})
)

// anyAddr draws addresses of few networks, some of them related.
func anyAddr(areas int) *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		area, network := rapid.IntRange(0, areas-1).Draw(t, "area"), rapid.IntRange(0, 3).Draw(t, "network")
		return netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", area, network))
	})
}

func anyEvents(addr *rapid.Generator[netip.Addr]) *rapid.Generator[[]event] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			Sender{addr.Draw(t, "addr"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "fingerprint")},
			anyMode.Draw(t, "at"), anyOutcome.Draw(t, "end"), anyWait.Draw(t, "after"),
		}
	}), 0, 60)
}

// happen plays the event. Conclusive outcomes are in the chosen mode.
func (e event) happen(l *Selector, now time.Time) (sessionticket.Mode, string, []Decision) {
	mode, why := l.Choose(e.sender, now)
	if e.end != handshake.Inconclusive {
		e.at = mode
	}
	return mode, why, l.Learn(e.sender, e.at, e.end, now)
}

func TestOthersDoNotChangeAKnownSender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyMode.Draw(t, "first")
		crowded, alone := New(first), New(first)
		me := from("192.0.2.7", "a")
		mine := anyEvents(rapid.Just(me.Addr)).Draw(t, "mine")
		others := anyEvents(anyAddr(6)).Draw(t, "others")
		if first == tls12 {
			return
		}
		now := epoch
		for _, l := range []*Selector{crowded, alone} {
			l.Learn(me, first, handshake.Worked, now) // known
		}
		for i, e := range mine {
			e.sender = me
			now = now.Add(min(e.after, 7*time.Hour)) // not so long that its state expires
			for _, other := range others[i*len(others)/len(mine) : (i+1)*len(others)/len(mine)] {
				other.happen(crowded, now)
			}
			mode, why, decisions := e.happen(crowded, now)
			wantMode, wantWhy, wantDecisions := e.happen(alone, now)
			if mode != wantMode || why != wantWhy || !reflect.DeepEqual(ofNetwork(decisions), ofNetwork(wantDecisions)) {
				t.Fatalf("event %d: mode %v (%s), alone %v (%s); decisions %+v, alone %+v", i, mode, why, wantMode, wantWhy, decisions, wantDecisions)
			}
		}
	})
}

// ofNetwork leaves out decisions on a fingerprint in all networks.
func ofNetwork(decisions []Decision) []Decision {
	return slices.DeleteFunc(decisions, func(d Decision) bool { return d.Network == Everywhere })
}

func TestFewProvidersDoNotChangeNewSenders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(ownWrite)
		now := epoch
		for _, e := range anyEvents(anyAddr(minAreas-1)).Draw(t, "others") {
			now = now.Add(e.after)
			e.happen(l, now)
			if mode, why := l.Choose(from("192.0.2.7", "a"), now); mode != ownWrite {
				t.Fatalf("a new sender has mode %v (%s)", mode, why)
			}
		}
	})
}

// A client that works in one mode gets it after at most one failure in each other mode, and
// two in the first and where it answers with an alert.
func TestNewSenderGetsAModeThatWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyMode.Draw(t, "first")
		c, worst := anyClient(t, first)
		l, s := New(first), from("192.0.2.7", "a")
		for lost := 0; ; lost++ {
			if mode, end, _ := c.connect(l, s, epoch.Add(time.Duration(lost)*time.Hour)); end == handshake.Worked {
				return
			} else if lost >= worst {
				t.Fatalf("%v fails in %v, the %dth time", c, mode, lost+1)
			}
		}
	})
}

// anyClient draws a client that works in at least one mode, and fails conclusively in the
// first. It returns the most attempts that it may lose.
func anyClient(t *rapid.T, first sessionticket.Mode) (c client, worst int) {
	works := rapid.SampledFrom(reachable(first)).Draw(t, "works")
	for _, mode := range reachable(first) {
		end := anyOutcome.Draw(t, "end")
		switch {
		case mode == works:
			end = handshake.Worked
		case mode == first && end == handshake.Inconclusive, end == handshake.ClosedAfterTicket && !givesTickets(mode),
			end == handshake.ClosedAfterReply && (!givesTickets(mode) || works == tls12): // TLS 1.3 works for it
			end = handshake.ClosedAfterFlight
		}
		c[mode] = end
		if mode == first && end != handshake.Worked || end == handshake.Inconclusive {
			worst++
		}
		if end != handshake.Worked {
			worst++
		}
	}
	return c, worst
}

// Whatever happened before, a sender that closes silently in some modes and works in another
// completes a handshake: within three attempts in each, a retry, and the rest of an earlier
// round in which the other failed too; or later if no mode helped then, or if a neighbour has
// shown that TLS 1.3 works.
func TestAnySenderGetsAModeThatWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, now := New(stock), from("192.0.2.7", "a"), epoch
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "past") {
			now = now.Add(e.after)
			e.happen(l, now)
			if e.sender = s; rapid.Bool().Draw(t, "own") {
				e.happen(l, now)
			}
			if e.sender = from("192.0.2.8", "a"); rapid.Bool().Draw(t, "neighbour's") {
				e.happen(l, now)
			}
		}
		c, _ := anyClient(t, stock)
		for mode, end := range c {
			if end == handshake.Inconclusive {
				c[mode] = handshake.ClosedAfterFlight
			}
		}
		for attempt := range 2*3*(modes-1) + 3*45 {
			if _, end, _ := c.connect(l, s, now); end == handshake.Worked {
				return
			}
			now = now.Add(20 * time.Minute)
			if attempt > 2*3*(modes-1) && attempt%3 == 0 {
				now = now.Add(24 * time.Hour)
			}
		}
		t.Fatalf("%v still fails", c)
	})
}

// A sender loses at most one attempt to retries in a wait, and the next attempt is in the mode
// that works.
func TestRetriesAreAtMostOneInAWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, now := New(stock), from("192.0.2.7", "a"), epoch
		for range 6 { // an early ticket, two closes, a trial, a close and a trial
			intolerant13.connect(l, s, now)
		}
		last := now.Add(-firstWait)
		for _, after := range rapid.SliceOfN(anyWait, 1, 100).Draw(t, "waits") {
			now = now.Add(after)
			mode, _ := l.Choose(s, now)
			if mode == tls12 {
				l.Learn(s, mode, handshake.Worked, now)
				continue
			}
			if now.Sub(last) < firstWait {
				t.Fatalf("%v is retried %v after the last retry", mode, now.Sub(last))
			}
			last = now
			if rapid.Bool().Draw(t, "its outcome arrives") {
				l.Learn(s, mode, rapid.SampledFrom([]handshake.Outcome{handshake.Inconclusive, handshake.ClosedAfterFlight}).Draw(t, "end"), now)
			}
			if mode, _ := l.Choose(s, now.Add(maxWait+time.Hour)); mode != tls12 {
				t.Fatalf("%v is retried twice in a row", mode)
			}
		}
	})
}

func TestStatesStayBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(anyMode.Draw(t, "first"))
		l.senders.max, l.fingerprints.max = 4, 1
		now := epoch
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "events") {
			now = now.Add(e.after)
			e.happen(l, now)
			if len(l.senders.entries) > 4 || len(l.fingerprints.entries) > 1 || len(l.Changed()) > 5 {
				t.Fatalf("%d senders, %d fingerprints", len(l.senders.entries), len(l.fingerprints.entries))
			}
		}
	})
}

func TestRestoredSelectorDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyMode.Draw(t, "first")
		l, stored, now := New(first), make(map[key]State), epoch
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "before") {
			now = now.Add(e.after)
			e.happen(l, now)
			if rapid.Bool().Draw(t, "stored") {
				store(t, stored, l)
			}
		}
		store(t, stored, l)
		restored := New(first)
		restored.Restore(slices.Collect(maps.Values(stored)), now)
		for _, known := range restored.senders.entries {
			known.used = known.Seen // as if the process had gone on; its age begins again otherwise
		}
		for _, known := range restored.fingerprints.entries {
			known.used = known.Seen
		}
		for i, e := range anyEvents(anyAddr(6)).Draw(t, "after") {
			now = now.Add(e.after)
			mode, why, decisions := e.happen(restored, now)
			wantMode, wantWhy, wantDecisions := e.happen(l, now)
			if mode != wantMode || why != wantWhy || !reflect.DeepEqual(decisions, wantDecisions) {
				t.Fatalf("event %d: %v (%s) %+v, without the restart %v (%s) %+v", i, mode, why, decisions, wantMode, wantWhy, wantDecisions)
			}
		}
	})
}

// What was returned to be stored or told is as it was, whatever happens later.
func TestReturnedStatesDoNotChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := New(anyMode.Draw(t, "first")), epoch
		l.Share("mx0")
		var states []State
		var texts []string
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "events") {
			now = now.Add(min(e.after, 20*time.Minute))
			e.happen(l, now)
			for _, state := range append(l.Changed(), l.News(10)...) {
				states, texts = append(states, state), append(texts, fmt.Sprintf("%+v", state))
			}
		}
		for i, state := range states {
			if now := fmt.Sprintf("%+v", state); now != texts[i] {
				t.Fatalf("returned\n%s\nlater it is\n%s", texts[i], now)
			}
		}
	})
}

// store encodes the changed states as JSON and decodes them, as the ledger does.
func store(t *rapid.T, stored map[key]State, l *Selector) {
	for _, state := range l.Changed() {
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		var read State
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		stored[key{state.Network, state.Fingerprint}] = read
	}
}
