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
