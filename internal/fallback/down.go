package fallback

import (
	"fmt"
	"time"

	"postern/handshake"
)

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
