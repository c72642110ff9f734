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
)

// An event is anything that may happen: a sender that is offered something, and an end
// that need not be of that.
type event struct {
	sender Sender
	at     Rung
	end    handshake.Outcome
	after  time.Duration
}

var (
	anyRung    = rapid.Map(rapid.IntRange(0, rungs-1), func(i int) Rung { return Rung(i) })
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
			anyRung.Draw(t, "at"), anyOutcome.Draw(t, "end"), anyWait.Draw(t, "after"),
		}
	}), 0, 60)
}

// happen plays the event: half of them end on what they were offered.
func (e event) happen(l *Ladder, now time.Time) (Rung, string, []Decision) {
	rung, why := l.Choose(e.sender, now)
	if e.end != handshake.Inconclusive {
		e.at = rung
	}
	return rung, why, l.Learn(e.sender, e.at, e.end, now)
}

func TestOthersMoveNobodyWhoIsKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyRung.Draw(t, "first")
		crowded, alone := New(first), New(first)
		me := from("192.0.2.7", "a")
		mine := anyEvents(rapid.Just(me.Addr)).Draw(t, "mine")
		others := anyEvents(anyAddr(6)).Draw(t, "others")
		if first == TLS12 {
			return
		}
		now := epoch
		for _, l := range []*Ladder{crowded, alone} {
			l.Learn(me, first, handshake.Worked, now) // known
		}
		for i, e := range mine {
			e.sender = me
			now = now.Add(min(e.after, 7*time.Hour)) // not so long that it is forgotten
			for _, other := range others[i*len(others)/len(mine) : (i+1)*len(others)/len(mine)] {
				other.happen(crowded, now)
			}
			rung, why, decisions := e.happen(crowded, now)
			wantRung, wantWhy, wantDecisions := e.happen(alone, now)
			if rung != wantRung || why != wantWhy || !reflect.DeepEqual(ofNetwork(decisions), ofNetwork(wantDecisions)) {
				t.Fatalf("event %d: offered %v (%s), alone %v (%s); decisions %+v, alone %+v", i, rung, why, wantRung, wantWhy, decisions, wantDecisions)
			}
		}
	})
}

// ofNetwork leaves out what concerns a fingerprint as a whole.
func ofNetwork(decisions []Decision) []Decision {
	return slices.DeleteFunc(decisions, func(d Decision) bool { return d.Network == everywhere })
}

func TestFewProvidersMoveNoNewcomer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(FirstWrite)
		now := epoch
		for _, e := range anyEvents(anyAddr(unrelated-1)).Draw(t, "others") {
			now = now.Add(e.after)
			e.happen(l, now)
			if rung, why := l.Choose(from("192.0.2.7", "a"), now); rung != FirstWrite {
				t.Fatalf("a newcomer is offered %v (%s)", rung, why)
			}
		}
	})
}

// A client that survives one rung gets in there after it failed at most once on each other,
// and twice where it answers with an alert.
func TestNewcomerEndsOnRungThatWorks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyRung.Draw(t, "first")
		c, worst := anyClient(t, first)
		l, s := New(first), from("192.0.2.7", "a")
		for lost := 0; ; lost++ {
			if rung, end, _ := c.comes(l, s, epoch.Add(time.Duration(lost)*time.Hour)); end == handshake.Worked {
				return
			} else if lost >= worst {
				t.Fatalf("%v fails on %v, the %dth time", c, rung, lost+1)
			}
		}
	})
}

// anyClient survives at least one rung, and says on the first how it fails. It returns the
// most attempts that may be lost on it.
func anyClient(t *rapid.T, first Rung) (c client, worst int) {
	works := Rung(rapid.IntRange(int(first), rungs-1).Draw(t, "works"))
	for rung := first; rung < rungs; rung++ {
		end := anyOutcome.Draw(t, "end")
		switch {
		case rung == works:
			end = handshake.Worked
		case rung == first && end == handshake.Inconclusive, end == handshake.ClosedAfterTicket && !rung.tickets():
			end = handshake.ClosedAfterFlight
		}
		c[rung] = end
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
		l, s, now := New(Stock), from("192.0.2.7", "a"), epoch
		for _, e := range anyEvents(anyAddr(6)).Draw(t, "past") {
			now = now.Add(e.after)
			e.happen(l, now)
			if e.sender = s; rapid.Bool().Draw(t, "own") {
				e.happen(l, now)
			}
		}
		c, _ := anyClient(t, Stock)
		for rung, end := range c {
			if end == handshake.Inconclusive {
				c[rung] = handshake.ClosedAfterFlight
			}
		}
		for range 2*3*(rungs-1) + 1 {
			if _, end, _ := c.comes(l, s, now); end == handshake.Worked {
				return
			}
			now = now.Add(20 * time.Minute)
		}
		t.Fatalf("%v is still out", c)
	})
}

// A sender that got in loses an attempt to a better rung at most once in a wait, and the next one is
// on the rung that works.
func TestBetterRungIsTriedAtMostOnceAWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, now := New(Stock), from("192.0.2.7", "a"), epoch
		intolerant13.comes(l, s, now)
		intolerant13.comes(l, s, now)
		last := now.Add(-firstWait)
		for _, after := range rapid.SliceOfN(anyWait, 1, 100).Draw(t, "waits") {
			now = now.Add(after)
			rung, _ := l.Choose(s, now)
			if rung == TLS12 {
				l.Learn(s, rung, handshake.Worked, now)
				continue
			}
			if now.Sub(last) < firstWait {
				t.Fatalf("%v is tried %v after the last try", rung, now.Sub(last))
			}
			last = now
			if rapid.Bool().Draw(t, "its end is told") {
				l.Learn(s, rung, rapid.SampledFrom([]handshake.Outcome{handshake.Inconclusive, handshake.ClosedAfterFlight}).Draw(t, "end"), now)
			}
			if rung, _ := l.Choose(s, now.Add(maxWait+time.Hour)); rung != TLS12 {
				t.Fatalf("%v is tried twice in a row", rung)
			}
		}
	})
}

func TestMemoryStaysBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(anyRung.Draw(t, "first"))
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
		first := anyRung.Draw(t, "first")
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
			rung, why, decisions := e.happen(restored, now)
			wantRung, wantWhy, wantDecisions := e.happen(l, now)
			if rung != wantRung || why != wantWhy || !reflect.DeepEqual(decisions, wantDecisions) {
				t.Fatalf("event %d: %v (%s) %+v, without the restart %v (%s) %+v", i, rung, why, decisions, wantRung, wantWhy, wantDecisions)
			}
		}
	})
}

// store keeps the states as JSON does, which is how the ledger has them.
func store(t *rapid.T, stored map[key]State, l *Ladder) {
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
