package fallback

import (
	"fmt"
	"time"

	"postern/handshake"
)

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
