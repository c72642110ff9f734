package fallback

import (
	"fmt"
	"net/netip"
	"time"

	"postern/handshake"
)

// A State is what is remembered of one sender, or with the network ::/0 of a fingerprint as
// a whole. Network and Fingerprint together are its key. It is exported to be stored and
// given back unchanged.
type State struct {
	Network     netip.Prefix
	Fingerprint string

	Rung  Rung      // what it is offered
	Since time.Time // when it was put there; zero while it is where new senders begin
	Why   string    // why it was put there
	Seen  time.Time // its last handshake that told something

	Used   [rungs]int // how often it got in, by rung
	Failed [rungs]int // how often it closed silently, by rung

	Debt  int         // what failures on Rung weigh that no success has paid
	Tried [rungs]bool // rungs that failed since it last got in

	Proven  bool      // it got in on Rung since a better one was last tried
	Trying  bool      // a better rung is being tried
	Retries int       // how often a better rung was tried
	RetryAt time.Time // when the next try may be, off the first rung

	Witnesses []netip.Prefix // of a fingerprint: unrelated areas whose senders failed on Rung and got in below
	Helps     Rung           // of a fingerprint: the best rung that got one of them in
}

// Evidence is weighed in successes. A sender that never got in on a rung leaves it at the
// first failure. One that did may have had an accident: its process was killed, or a scanner
// with its fingerprint lives next door. It leaves at the third, if there were not so many successes
// between them that failures are rarer than one in 17: then the rung is not what is wrong.
const (
	failure = 16          // successes that pay for one failure
	enough  = 3 * failure // a debt that makes it leave the rung
	doubt   = enough / 2  // an inconclusive end on a rung that has never worked: two take it off
)

// learn takes in an end on the rung at.
func (s *State) learn(at Rung, end handshake.Outcome, first Rung, now time.Time) []Decision {
	switch end {
	case handshake.Worked:
		s.Used[at]++
	case handshake.ClosedAfterFlight, handshake.ClosedAfterTicket:
		s.Failed[at]++
	}
	switch {
	case s.Trying && at+1 == s.Rung:
		return s.tried(end, first, now)
	case at != s.Rung:
		return nil // it began before the last move
	case end == handshake.Worked:
		s.hold()
		return nil
	case s.weigh(end, first) < enough:
		return nil
	default:
		return s.leave(end, first, now)
	}
}

// hold takes in a success on the sender's rung.
func (s *State) hold() {
	s.Proven = true
	s.Tried = [rungs]bool{}
	s.Debt = max(0, s.Debt-1)
}

// weigh adds a failure on the sender's rung to its debt and returns that.
func (s *State) weigh(end handshake.Outcome, first Rung) int {
	worked := s.Used[s.Rung] > 0
	switch {
	case end == handshake.Inconclusive && (worked || s.Rung == first):
		return 0 // moves nobody
	case end == handshake.Inconclusive:
		// A lower rung that has yet to prove itself. A client may answer it with an alert,
		// and would be kept out by what was to help it.
		s.Debt += doubt
	case worked:
		s.Debt += failure
	default:
		s.Debt = enough
	}
	return s.Debt
}

// words tells why it is where it is.
func (s *State) words() string {
	if s.Since.IsZero() {
		return "first rung, and no reason to leave it"
	}
	return fmt.Sprintf("since %s: %s", s.Since.UTC().Format(time.DateTime), s.Why)
}

// cure is the rung that is answer to a close on the sender's rung.
//
// A close after the ticket: the client does not want one, whenever it comes. Known clients
// of that kind take none at all, so own-write is left to the way up.
//
// A close after the flight: on stock the ticket is in the flight. On the others the flight
// is the same to a client that has no ticket of ours, and only TLS 1.2 is different. To a
// client that has one the flight of a resumed session is different from that of a full one,
// which no-ticket makes it get.
func (s *State) cure(end handshake.Outcome) Rung {
	resumes := s.Used[Stock]+s.Used[FirstWrite]+s.Used[OwnWrite] > 0
	switch {
	case end == handshake.Inconclusive:
		return s.Rung // none known
	case end == handshake.ClosedAfterTicket, s.Rung != Stock && s.Rung.tickets() && resumes:
		return NoTicket
	case s.Rung == Stock:
		return FirstWrite
	default:
		return TLS12
	}
}

// next is the rung after the one that failed: its cure, or if that failed already the best
// that has not. It is the first when all have: no rung helps then, and on the first the
// least is given up.
func (s *State) next(end handshake.Outcome, first Rung) Rung {
	if cure := s.cure(end); !s.Tried[cure] {
		return cure
	}
	for rung := first; rung < rungs; rung++ {
		if !s.Tried[rung] {
			return rung
		}
	}
	s.Tried = [rungs]bool{}
	return first
}

// leave moves the sender off a rung that failed.
func (s *State) leave(end handshake.Outcome, first Rung, now time.Time) []Decision {
	from, why := s.Rung, s.blame(end)
	s.Tried[from] = true
	s.put(s.next(end, first), first, why, now)
	s.RetryAt = now.Add(wait(s.Retries))
	s.Debt, s.Proven = 0, false
	switch {
	case s.Rung > from:
		return s.decide(MovedDown, from, why, now)
	case s.Rung < from:
		return s.decide(MovedBack, from, why, now)
	default:
		return nil // there is one rung only
	}
}

// put sets the rung. On the first nobody needs a reason to be.
func (s *State) put(rung, first Rung, why string, now time.Time) {
	s.Rung, s.Since, s.Why, s.Trying = rung, now, why, false
	if rung == first {
		s.Since, s.Why = time.Time{}, ""
	}
}

// blame says why a rung is left.
func (s *State) blame(end handshake.Outcome) string {
	switch {
	case end == handshake.Inconclusive:
		return fmt.Sprintf("%v did not get it in either", s.Rung)
	case s.Used[s.Rung] > 0:
		return fmt.Sprintf("%v on %v, too often for the %d times it got in there", end, s.Rung, s.Used[s.Rung])
	case !s.Network.IsValid():
		return fmt.Sprintf("%v on %v, and never got in there", end, s.Rung)
	default:
		return fmt.Sprintf("%v on %v, and nobody of %v with this fingerprint ever got in there", end, s.Rung, s.Network)
	}
}

// How long a sender stays before a better rung is tried. A try that fails delays one
// message until its sender's next attempt, so in the end there is one in two weeks.
const (
	firstWait = 6 * time.Hour
	maxWait   = 14 * 24 * time.Hour
)

// wait doubles with each try.
func wait(retries int) time.Duration {
	return min(firstWait<<min(retries, 8), maxWait)
}

// due reports whether a better rung is to be tried now. The known rung must have got the sender
// in since the last try: one that comes less often than the wait would meet nothing
// but tries.
func (s *State) due(first Rung, now time.Time) bool {
	if s.Rung <= first || !s.Proven {
		return false
	}
	setBack := s.RetryAt.After(now.Add(wait(s.Retries))) // the clock: it would wait for too long
	return setBack || !now.Before(s.RetryAt)
}

// retry offers the next better rung to one connection: whoever comes before RetryAt gets
// the known one, even if this one's end is never told. One rung up is enough: a client that
// does not survive it does not survive the ones above.
func (s *State) retry(now time.Time) (Rung, string) {
	s.Retries++
	s.RetryAt = now.Add(wait(s.Retries))
	s.Trying, s.Proven = true, false
	return s.Rung - 1, fmt.Sprintf("trying again; %v is known to work", s.Rung)
}

// tried takes in the end of a try.
func (s *State) tried(end handshake.Outcome, first Rung, now time.Time) []Decision {
	s.Trying = false
	if end != handshake.Worked {
		why := fmt.Sprintf("tried again and %v; %v is known to work", end, s.Rung)
		return s.decide(Retried, s.Rung-1, why, now)
	}
	from, why := s.Rung, fmt.Sprintf("tried %v again and got in", s.Rung-1)
	s.put(s.Rung-1, first, why, now)
	s.RetryAt = now.Add(firstWait)
	s.hold()
	s.Debt = enough - 1 // a few successes are not much yet: a failure now undoes it
	return s.decide(MovedUp, from, why, now)
}
