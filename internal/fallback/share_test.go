package fallback

import (
	"fmt"
	"math/rand"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/handshake"
	"postern/sessionticket"
)

// hosts returns selectors that share states, named mx0, mx1 and so on.
func hosts(n int, initial sessionticket.Mode) []*Selector {
	all := make([]*Selector, n)
	for i := range all {
		all[i] = New(initial)
		all[i].Share(fmt.Sprintf("mx%d", i))
	}
	return all
}

// spread gives the news of each host to all others, until there are none.
func spread(all []*Selector, now time.Time) (rounds int) {
	for quiet := false; !quiet; rounds++ {
		quiet = true
		for _, from := range all {
			news := from.News(maxSenders)
			for _, to := range all {
				if to != from && len(news) > 0 {
					to.Adopt(news, now)
					quiet = false
				}
			}
		}
	}
	return rounds
}

// deliverAt is what a sender does that tries the hosts in turn until one takes its message. It
// returns how many attempts were lost.
func (c client) deliverAt(all []*Selector, first int, s Sender, now time.Time) (lost int) {
	for i := range 8 {
		_, end, _ := c.connect(all[(first+i)%len(all)], s, now.Add(time.Duration(i)*time.Minute))
		spread(all, now)
		if end == handshake.Worked {
			return i
		}
	}
	return 8
}

func TestSenderThatFailedAtOneHostDeliversAtTheNext(t *testing.T) {
	for _, test := range []struct {
		name    string
		client  client
		initial sessionticket.Mode
		lost    int // as at one host: see TestSenderGetsTheModeThatAvoidsItsClose
	}{
		{"an early ticket", earlyTicket, stock, 1},
		{"a ticket with data", ticketWithData, firstWrite, 2},
		{"any ticket", refusesTickets, ownWrite, 1},
		{"TLS 1.3", intolerant13, ownWrite, 2},
		{"a healthy one", healthy, stock, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := hosts(4, test.initial)
			if lost := test.client.deliverAt(all, 0, from("192.0.2.7", "a"), epoch); lost != test.lost {
				t.Errorf("it lost %d attempts, want %d", lost, test.lost)
			}
		})
	}
}

// The wait until a less compatible mode is tried again ends by the clock of the host that learned. A host
// whose clock is behind must not take it for one that its own clock made before it was set back.
func TestSenderOfAHostWhoseClockIsAheadIsNotTriedAgain(t *testing.T) {
	all, sender := hosts(2, stock), from("192.0.2.7", "a")
	ahead := epoch.Add(11 * time.Minute)
	for _, want := range []handshake.Outcome{handshake.ClosedAfterFlight, handshake.Worked} {
		if _, end, _ := earlyTicket.connect(all[0], sender, ahead); end != want {
			t.Fatalf("at the first host: %v, want %v", end, want)
		}
	}
	all[1].Adopt(all[0].News(maxSenders), epoch)
	if mode, why := all[1].Choose(sender, epoch); mode != ownWrite {
		t.Errorf("at the host whose clock is behind: mode %v, %s, want %v", mode, why, ownWrite)
	}
	if mode, _ := all[1].Choose(sender, epoch.Add(firstWait)); mode != stock {
		t.Errorf("%v later: mode %v, want %v", firstWait, mode, stock)
	}
}

// All hosts learn that a fingerprint fails from one sender each.
func TestFingerprintFallsBackAfterFailuresAtSeveralHosts(t *testing.T) {
	all := hosts(3, stock)
	for i, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		if lost := earlyTicket.deliverAt(all, i, from(addr, "a"), epoch); lost != 1 {
			t.Errorf("sender %d lost %d attempts, want 1", i, lost)
		}
	}
	for i, host := range all {
		if mode, _ := host.Choose(from("203.0.113.1", "a"), epoch); mode != ownWrite {
			t.Errorf("host %d answers a new sender with that fingerprint in %v, want own-write", i, mode)
		}
	}
}

// What moves no sender at one host moves none by being told at another.
func TestHostThatKnowsTheSenderWorksObjects(t *testing.T) {
	all := hosts(2, stock)
	s := from("192.0.2.7", "a")
	all[1].Learn(s, stock, handshake.Worked, epoch)
	all[0].Learn(s, stock, handshake.ClosedAfterFlight, epoch) // an accident, but the first handshake here
	wantMode(t, all[0], s, epoch, ownWrite)
	spread(all, epoch)
	for i, host := range all {
		if mode, why := host.Next(s, epoch); mode != stock {
			t.Errorf("host %d answers in %v (%s), want stock: a session completed in it", i, mode, why)
		}
	}
	// Three failures move it, as at one host.
	for range 3 {
		all[0].Learn(s, stock, handshake.ClosedAfterFlight, epoch)
		spread(all, epoch)
	}
	for i, host := range all {
		if mode, why := host.Next(s, epoch); mode != ownWrite {
			t.Errorf("host %d answers in %v (%s), want own-write", i, mode, why)
		}
	}
}

func TestOperatorsReadWhichHostDecided(t *testing.T) {
	all := hosts(2, stock)
	s := from("192.0.2.7", "a")
	earlyTicket.connect(all[0], s, epoch)
	news := all[0].News(10)
	decisions := all[1].Adopt(news, epoch)
	if len(decisions) != 1 || decisions[0].Kind != FellBack || decisions[0].To != ownWrite {
		t.Fatalf("decisions are %+v, want one that the sender fell back to own-write", decisions)
	}
	want := "host mx0: closed silently after our flight in mode stock; no session from 192.0.2.0/24 with this fingerprint has completed in that mode"
	if got := decisions[0].Why; got != want {
		t.Errorf("why is\n%s\nwant\n%s", got, want)
	}
	if all[1].Changed() == nil {
		t.Error("it is not stored")
	}
	if again := all[1].Adopt(news, epoch); again != nil || all[1].Changed() != nil {
		t.Errorf("what arrives again is stored again, and decisions are %+v", again)
	}
}

// What a host learns of another is as recent as what it has, also when its memory is full.
func TestFullMemoryKeepsWhatItLearnedOfAnotherHost(t *testing.T) {
	all := hosts(2, stock)
	all[1].senders.max = 16
	for i := range 16 {
		earlyTicket.connect(all[1], from(fmt.Sprintf("10.%d.0.1", i), "a"), epoch)
	}
	s := from("192.0.2.7", "a")
	earlyTicket.connect(all[0], s, epoch.Add(time.Hour))
	all[1].Adopt(all[0].News(1), epoch.Add(time.Hour))
	wantMode(t, all[1], s, epoch.Add(time.Hour), ownWrite)
}

func TestHealthySendersMakeNoNews(t *testing.T) {
	sel := hosts(1, ownWrite)[0]
	for i := range 100 {
		sel.Learn(from(fmt.Sprintf("10.0.%d.1", i), "a"), ownWrite, handshake.Worked, epoch)
	}
	if news := sel.News(10); len(news) > 0 {
		t.Errorf("there are %d, such as %+v", len(news), news[0])
	}
}

// Whatever decides how a sender is answered, now or later, is news, and what only counts is not.
func TestEachChangeOfAnswersIsNews(t *testing.T) {
	before := State{
		Since: epoch, Areas: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, TrialAt: epoch,
		Closers: []Closer{{Addr: netip.MustParseAddr("192.0.2.7"), Outcome: handshake.ClosedAfterFlight, At: epoch, Penalty: 16}},
	}
	closer := func(change func(*Closer)) func(*State) {
		return func(s *State) {
			s.Closers = slices.Clone(s.Closers)
			change(&s.Closers[0])
		}
	}
	other := netip.MustParseAddr("192.0.2.8")
	for name, test := range map[string]struct {
		change func(*State)
		news   bool
	}{
		"the mode":                      {func(s *State) { s.Mode = tls12 }, true},
		"its penalty":                   {func(s *State) { s.Penalty++ }, true},
		"a mode that failed":            {func(s *State) { s.Tried[ownWrite] = true }, true},
		"the mode works":                {func(s *State) { s.Confirmed = true }, true},
		"a retry":                       {func(s *State) { s.Retrying = true }, true},
		"how many":                      {func(s *State) { s.Retries++ }, true},
		"a trial":                       {func(s *State) { s.Trying = true }, true},
		"of which mode":                 {func(s *State) { s.Trial = tls12 }, true},
		"by which host":                 {func(s *State) { s.TrialBy = other }, true},
		"when":                          {func(s *State) { s.TrialAt = epoch.Add(1) }, true},
		"when, in another zone":         {func(s *State) { s.TrialAt = epoch.In(time.FixedZone("", 3600)) }, false},
		"how many helped nothing":       {func(s *State) { s.Trials++ }, true},
		"a host that TLS 1.2 helped":    {func(s *State) { s.Helped = other }, true},
		"a mode that helps":             {func(s *State) { s.Helps = tls12 }, true},
		"one more area":                 {func(s *State) { s.Areas = append(s.Areas, netip.MustParsePrefix("10.2.0.0/16")) }, true},
		"one more host that closed":     {func(s *State) { s.Closers = append(s.Closers, Closer{Addr: other}) }, true},
		"another host that closed":      {closer(func(c *Closer) { c.Addr = other }), true},
		"it closed in another way":      {closer(func(c *Closer) { c.Outcome = handshake.ClosedAfterTicket }), true},
		"it closed again":               {closer(func(c *Closer) { c.Penalty++ }), true},
		"it closed again much later":    {closer(func(c *Closer) { c.At = epoch.Add(15 * time.Minute) }), true},
		"the same, by clocks that jump": {closer(func(c *Closer) { c.At = epoch.Add(-15 * time.Minute) }), true},
		"at once":                       {closer(func(c *Closer) { c.At = epoch.Add(15*time.Minute - 1) }), false},
		"a handshake that completed":    {func(s *State) { s.Worked[stock]++; s.Seen, s.Worked13 = epoch, epoch }, false},
		"one that failed":               {func(s *State) { s.Failed[stock]++ }, false},
	} {
		after := before
		test.change(&after)
		if news := !after.answersAs(&before); news != test.news {
			t.Errorf("%s: news %v, want %v", name, news, test.news)
		}
	}
	// In the initial mode that is not in doubt, one more handshake that completes says nothing.
	initial, confirmed := State{}, State{Confirmed: true}
	if !confirmed.answersAs(&initial) {
		t.Error("the initial mode works: it is news")
	}
}

func TestNewsComeInPortions(t *testing.T) {
	sel := hosts(1, stock)[0]
	for i := range 25 {
		sel.Learn(from(fmt.Sprintf("10.0.%d.1", i), ""), stock, handshake.ClosedAfterTicket, epoch)
	}
	for _, want := range []int{10, 10, 5} {
		<-sel.HasNews()
		if got := len(sel.News(10)); got != want {
			t.Errorf("there are %d, want %d", got, want)
		}
	}
	select {
	case <-sel.HasNews():
		t.Error("there is more, want none")
	default:
	}
}

// While the others cannot be reached, a flood of failing senders leaves no more news than there are
// states.
func TestNewsOfForgottenSendersAreForgotten(t *testing.T) {
	sel := hosts(1, stock)[0]
	sel.senders.max = 16
	for i := range 200 {
		sel.Learn(from(fmt.Sprintf("10.0.%d.1", i), ""), stock, handshake.ClosedAfterFlight, epoch)
	}
	if got := len(sel.News(1000)); got == 0 || got > 17 {
		t.Errorf("there are %d, want at most 17", got)
	}
}

// Whatever happens at which host, and however late, in whatever order and how often news arrive:
// when all have arrived, every host answers every sender alike.
func TestSharedStatesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := hosts(3, anyMode.Draw(t, "initial"))
		rnd := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
		waiting := make([][]State, len(all)) // news that have not arrived at a host
		now := epoch
		for _, e := range anyEvents(anyAddr(4)).Draw(t, "events") {
			now = now.Add(min(e.after, 7*time.Hour))
			at := rnd.Intn(len(all))
			e.happen(all[at], now)
			news := all[at].News(maxSenders)
			for to := range all {
				if to != at {
					waiting[to] = append(waiting[to], news...)
				}
			}
			to := rnd.Intn(len(all))
			rnd.Shuffle(len(waiting[to]), func(i, j int) { waiting[to][i], waiting[to][j] = waiting[to][j], waiting[to][i] })
			n := rnd.Intn(len(waiting[to]) + 1)
			all[to].Adopt(waiting[to][:n], now)
			if rnd.Intn(2) == 0 { // else they arrive once more
				waiting[to] = waiting[to][n:]
			}
		}
		for to := range all {
			all[to].Adopt(waiting[to], now)
		}
		spread(all, now)
		for k, known := range all[0].senders.entries {
			for i, other := range all[1:] {
				sameAnswers(t, i+1, known, other.senders.entries[k])
			}
		}
	})
}

// sameAnswers compares what two hosts know of a sender, if any of it was shared.
func sameAnswers(t *rapid.T, host int, first, other *entry) {
	if first.Stamp.Changes == 0 && (other == nil || other.Stamp.Changes == 0) {
		return
	}
	if other == nil {
		t.Fatalf("host %d does not know of %v %q, host 0: %+v", host, first.Network, first.Fingerprint, first.State)
	}
	a, b := first.State, other.State
	if a.Stamp != b.Stamp || !a.answersAs(&b) {
		t.Fatalf("host 0 knows\n%+v\nhost %d\n%+v", a, host, b)
	}
}

// Evidence counts for no more in a fleet than at one host: after the same handshakes no sender is
// in a more compatible mode.
func TestEvidenceCountsForNoMoreThanAtOneHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := anyMode.Draw(t, "initial")
		all, one := hosts(3, initial), New(initial)
		var senders []Sender
		now := epoch
		for i, e := range anyEvents(rapid.Just(netip.MustParseAddr("192.0.2.7"))).Draw(t, "events") {
			now = now.Add(min(e.after, time.Hour))
			host := all[rapid.IntRange(0, len(all)-1).Draw(t, "host")]
			mode, _ := one.Choose(e.sender, now)
			chosen, why := host.Choose(e.sender, now)
			if safer(chosen, mode) {
				t.Fatalf("event %d: the fleet answers in %v (%s), one host in %v", i, chosen, why, mode)
			}
			if chosen != mode {
				return // what follows is not the same
			}
			if e.end != handshake.Inconclusive {
				e.at = mode
			}
			one.Learn(e.sender, e.at, e.end, now)
			host.Learn(e.sender, e.at, e.end, now)
			spread(all, now)
			if !slices.Contains(senders, e.sender) {
				senders = append(senders, e.sender)
			}
		}
	})
}

// Of two hosts' counts each keeps the greater, also where the other's state is later: what both saw is
// not counted twice, and nothing that one saw is lost.
func TestCountsOfHostsAreNotAdded(t *testing.T) {
	network := from("192.0.2.7", "a").key().network
	mine := State{Network: network, Fingerprint: "a", Mode: ownWrite, Seen: epoch.Add(2), Worked13: epoch.Add(1), Stamp: Stamp{3, "mx0"}}
	mine.Worked[ownWrite], mine.Worked[stock], mine.Failed[stock], mine.Failed[tls12] = 5, 1, 2, 1
	theirs := State{Network: network, Fingerprint: "a", Mode: ownWrite, Seen: epoch.Add(1), Worked13: epoch.Add(2), Trials: 1}
	theirs.Worked[ownWrite], theirs.Worked[noTicket], theirs.Failed[stock], theirs.Failed[noTicket] = 4, 2, 7, 3
	for stamp, trials := range map[Stamp]int{{2, "mx1"}: 0, {4, "mx1"}: 1} {
		sel := hosts(1, ownWrite)[0]
		sel.Restore([]State{mine}, epoch.Add(3))
		theirs.Stamp = stamp
		sel.Adopt([]State{theirs}, epoch.Add(3))
		got := sel.Stamped()[0]
		var worked, failed byMode[int]
		worked[ownWrite], worked[stock], worked[noTicket] = 5, 1, 2
		failed[stock], failed[tls12], failed[noTicket] = 7, 1, 3
		if got.Worked != worked || got.Failed != failed || !got.Seen.Equal(epoch.Add(2)) || !got.Worked13.Equal(epoch.Add(2)) || got.Trials != trials {
			t.Errorf("with %v it is %+v", stamp, got)
		}
	}
}

// What a host said last may have been replaced, where hosts leave it for each other, by what another
// one said before and late. It says it once more.
func TestHostRepeatsWhatALateStateReplaced(t *testing.T) {
	all := hosts(2, stock)
	s := from("192.0.2.7", "a")
	for _, host := range all {
		earlyTicket.connect(host, s, epoch)
	}
	late := all[1].News(10)
	earlyTicket.connect(all[0], s, epoch)
	last := all[0].News(10)
	if decisions := all[0].Adopt(late, epoch); decisions != nil {
		t.Errorf("decisions are %+v, want none", decisions)
	}
	if again := all[0].News(10); !slices.ContainsFunc(again, func(s State) bool { return reflect.DeepEqual(s.Stamp, last[0].Stamp) }) {
		t.Errorf("the news are %+v, want %+v again", again, last[0])
	}
	all[1].Adopt(last, epoch)
	if again := all[1].News(10); len(again) > 0 { // it is not the one whose word was replaced
		t.Errorf("the other host has %+v to say", again)
	}
}

func TestOneOfTwoStampsIsLater(t *testing.T) {
	inOrder := []Stamp{{}, {1, "mx0"}, {1, "mx1"}, {2, "mx0"}, {10, "mx0"}}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if a.After(b) != (i > j) {
				t.Errorf("%v is after %v: %v", a, b, i <= j)
			}
		}
	}
}

func TestStampedStatesAreStored(t *testing.T) {
	all := hosts(2, stock)
	s := from("192.0.2.7", "a")
	earlyTicket.connect(all[0], s, epoch)
	again := New(stock)
	again.Share("mx0")
	again.Restore(all[0].Changed(), epoch)
	if got, want := again.Stamped(), all[0].Stamped(); !reflect.DeepEqual(got, want) || len(got) != 1 {
		t.Errorf("after a restart the host has\n%+v\nwant\n%+v", got, want)
	}
}

// As many hosts as are considered may have closed.
func TestStatesOfOthersMayBeFull(t *testing.T) {
	all := hosts(2, ownWrite)
	for i := range 8 {
		intolerant13.connect(all[0], from(fmt.Sprintf("192.0.2.%d", i), "a"), epoch)
	}
	all[1].Adopt(all[0].News(1), epoch)
	if known := all[1].Stamped(); len(known) != 1 || len(known[0].Closers) != 8 {
		t.Errorf("the other host knows %+v", known)
	}
}

func TestInvalidStatesOfOthersAreIgnored(t *testing.T) {
	for field, spoil := range map[string]func(*State){
		"Mode":    func(s *State) { s.Mode = sessionticket.Mode(modes) },
		"Helps":   func(s *State) { s.Helps = sessionticket.Mode(modes) },
		"Trial":   func(s *State) { s.Trial = sessionticket.Mode(modes) },
		"Retries": func(s *State) { s.Retries = -1 },
		"Trials":  func(s *State) { s.Trials = -1 },
		"Penalty": func(s *State) { s.Penalty = -1 },
		"Closers": func(s *State) { s.Closers = make([]Closer, maxClosers+1) },
	} {
		all := hosts(2, stock)
		s := from("192.0.2.7", "a")
		earlyTicket.connect(all[0], s, epoch)
		bad := all[0].News(1)[0]
		spoil(&bad)
		if decisions := all[1].Adopt([]State{bad}, epoch); len(decisions) > 0 || len(all[1].Stamped()) > 0 {
			t.Errorf("%s: decisions are %+v and states %+v, want none", field, decisions, all[1].Stamped())
		}
		wantMode(t, all[1], s, epoch, stock)
	}
}
