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

// An event is anything that may happen: a sender that is offered something, and an end
// that need not be of that.
type event struct {
	sender Sender
	at     sessionticket.Mode
	end    handshake.Outcome
	after  time.Duration
}

var (
	anyMode    = rapid.Map(rapid.IntRange(0, modes-1), func(i int) sessionticket.Mode { return sessionticket.Mode(i) })
	anyOutcome = rapid.SampledFrom([]handshake.Outcome{handshake.Inconclusive, handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterTicket})
	anyWait    = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Minute, 7 * time.Hour, 3 * 24 * time.Hour})
)

// anyAddr is of few networks, some of them related.
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

// happen plays the event: half of them end on what they were offered.
func (e event) happen(l *Selector, now time.Time) (sessionticket.Mode, string, []Decision) {
	mode, why := l.Choose(e.sender, now)
	if e.end != handshake.Inconclusive {
		e.at = mode
	}
	return mode, why, l.Learn(e.sender, e.at, e.end, now)
}

func TestOthersMoveNobodyWhoIsKnown(t *testing.T) {
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
			now = now.Add(min(e.after, 7*time.Hour)) // not so long that it is forgotten
			for _, other := range others[i*len(others)/len(mine) : (i+1)*len(others)/len(mine)] {
				other.happen(crowded, now)
			}
			mode, why, decisions := e.happen(crowded, now)
			wantMode, wantWhy, wantDecisions := e.happen(alone, now)
			if mode != wantMode || why != wantWhy || !reflect.DeepEqual(ofNetwork(decisions), ofNetwork(wantDecisions)) {
				t.Fatalf("event %d: offered %v (%s), alone %v (%s); decisions %+v, alone %+v", i, mode, why, wantMode, wantWhy, decisions, wantDecisions)
			}
		}
	})
}

// ofNetwork leaves out what concerns a fingerprint as a whole.
func ofNetwork(decisions []Decision) []Decision {
	return slices.DeleteFunc(decisions, func(d Decision) bool { return d.Network == Everywhere })
}

func TestFewProvidersMoveNoNewcomer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(firstWrite)
		now := epoch
		for _, e := range anyEvents(anyAddr(minAreas-1)).Draw(t, "others") {
			now = now.Add(e.after)
			e.happen(l, now)
			if mode, why := l.Choose(from("192.0.2.7", "a"), now); mode != firstWrite {
				t.Fatalf("a newcomer is offered %v (%s)", mode, why)
			}
		}
	})
}

// A client that survives one mode gets in there after it failed at most once on each other,
// and twice where it answers with an alert.
func TestNewcomerEndsOnRungThatWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyMode.Draw(t, "first")
		c, worst := anyClient(t, first)
		l, s := New(first), from("192.0.2.7", "a")
		for lost := 0; ; lost++ {
			if mode, end, _ := c.comes(l, s, epoch.Add(time.Duration(lost)*time.Hour)); end == handshake.Worked {
				return
			} else if lost >= worst {
				t.Fatalf("%v fails on %v, the %dth time", c, mode, lost+1)
			}
		}
	})
}

// anyClient survives at least one mode, and says on the first how it fails. It returns the
// most attempts that may be lost on it.
func anyClient(t *rapid.T, first sessionticket.Mode) (c client, worst int) {
	works := rapid.SampledFrom(order[rank(first):]).Draw(t, "works")
	for _, mode := range order[rank(first):] {
		end := anyOutcome.Draw(t, "end")
		switch {
		case mode == works:
			end = handshake.Worked
		case mode == first && end == handshake.Inconclusive, end == handshake.ClosedAfterTicket && !givesTickets(mode):
			end = handshake.ClosedAfterFlight
		}
		c[mode] = end
		if end == handshake.Inconclusive {
			worst++
		}
		if end != handshake.Worked {
			worst++
		}
	}
	return c, worst
}

// Whatever happened before, a sender that closes silently on some rungs and survives another
// gets in within three attempts on each, a try, and what is left of an earlier round in
// which the other failed too.
func TestAnySenderEndsOnRungThatWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, now := New(stock), from("192.0.2.7", "a"), epoch
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "past") {
			now = now.Add(e.after)
			e.happen(l, now)
			if e.sender = s; rapid.Bool().Draw(t, "own") {
				e.happen(l, now)
			}
		}
		c, _ := anyClient(t, stock)
		for mode, end := range c {
			if end == handshake.Inconclusive {
				c[mode] = handshake.ClosedAfterFlight
			}
		}
		for range 2*3*(modes-1) + 1 {
			if _, end, _ := c.comes(l, s, now); end == handshake.Worked {
				return
			}
			now = now.Add(20 * time.Minute)
		}
		t.Fatalf("%v is still out", c)
	})
}

// A sender that got in loses an attempt to a better mode at most once in a wait, and the next one is
// on the mode that works.
func TestBetterRungIsTriedAtMostOnceAWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, now := New(stock), from("192.0.2.7", "a"), epoch
		intolerant13.comes(l, s, now)
		intolerant13.comes(l, s, now)
		last := now.Add(-firstWait)
		for _, after := range rapid.SliceOfN(anyWait, 1, 100).Draw(t, "waits") {
			now = now.Add(after)
			mode, _ := l.Choose(s, now)
			if mode == tls12 {
				l.Learn(s, mode, handshake.Worked, now)
				continue
			}
			if now.Sub(last) < firstWait {
				t.Fatalf("%v is tried %v after the last try", mode, now.Sub(last))
			}
			last = now
			if rapid.Bool().Draw(t, "its end is told") {
				l.Learn(s, mode, rapid.SampledFrom([]handshake.Outcome{handshake.Inconclusive, handshake.ClosedAfterFlight}).Draw(t, "end"), now)
			}
			if mode, _ := l.Choose(s, now.Add(maxWait+time.Hour)); mode != tls12 {
				t.Fatalf("%v is tried twice in a row", mode)
			}
		}
	})
}

func TestMemoryStaysBounded(t *testing.T) {
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

func TestRestoredLadderDecidesTheSame(t *testing.T) {
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
		restored.Restore(slices.Collect(maps.Values(stored)))
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

// store keeps the states as JSON does, which is how the ledger has them.
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
