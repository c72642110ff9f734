package fallback

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/handshake"
	"postern/sessionticket"
)

// A silent close has many causes that no mode cures: a client that refuses the certificate
// without an alert, a monitor, a scanner. So a close alone changes no mode, except to own-write,
// which costs its neighbours nothing. The host that closed gets a more
// compatible mode for one connection, a trial, and its network moves there only if that helps.
// TLS 1.2, which is weaker, has to help twice: between the trials the host is back in the mode
// that failed, where a healthy program on it would complete a handshake.

const (
	// maxClosers bounds the hosts of a state that are considered for a trial.
	maxClosers = 8

	// trialTime is when the outcome of a trial is no longer waited for. No session without
	// mail lasts longer.
	trialTime = 15 * time.Minute

	// retryTime is when a sender has made its next attempt, if it makes one. Another program
	// on its host may come later, and shall not get its trial.
	retryTime = 2 * time.Hour
)

// penaltyFor returns the penalty of a host that is enough to try a mode. Its first close is,
// if its network never completed a handshake in Mode, except for TLS 1.2, and for a client
// that left after its first command, as monitors do.
func (s *State) penaltyFor(mode sessionticket.Mode, c *Closer) int {
	switch outcome := c.Outcome; {
	case s.Worked[s.Mode] > 0:
		return maxPenalty
	case s.Helped == c.Addr && mode == sessionticket.TLS12:
		return failurePenalty
	case mode == sessionticket.TLS12, outcome == handshake.ClosedAfterReply:
		return 2 * failurePenalty
	}
	return failurePenalty
}

// A Closer is a host that closed silently in the mode of its [State].
type Closer struct {
	Addr    netip.Addr
	Outcome handshake.Outcome // the last one
	At      time.Time
	Penalty int // of its closes, less its completed handshakes
}

// closer returns the closer with that address, or nil.
func (s *State) closer(addr netip.Addr) *Closer {
	i := slices.IndexFunc(s.Closers, func(c Closer) bool { return c.Addr == addr })
	if i < 0 {
		return nil
	}
	return &s.Closers[i]
}

// suspect records a silent close of a host in Mode.
func (s *State) suspect(addr netip.Addr, outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) {
	s.Closers = slices.Clone(s.Closers) // stored states share the array, here and below
	c := s.closer(addr)
	if c == nil {
		if len(s.Closers) == maxClosers {
			s.Closers = s.Closers[1:]
		}
		s.Closers = append(s.Closers, Closer{Addr: addr})
		c = &s.Closers[len(s.Closers)-1]
	}
	c.Outcome, c.At, c.Penalty = outcome, now, min(c.Penalty+failurePenalty, maxPenalty)
	s.pauseTrials(outcome, initial, now)
}

// exonerate records a handshake of a host that completed in Mode.
func (s *State) exonerate(addr netip.Addr, now time.Time) {
	if s.Mode != sessionticket.TLS12 {
		s.Worked13, s.Helped = now, netip.Addr{}
	}
	if c := s.closer(addr); c != nil {
		s.Closers = slices.Clone(s.Closers)
		s.closer(addr).Penalty = max(0, c.Penalty-1)
	}
}

// mayNeedTLS12 reports whether TLS 1.3 may be what fails. It is not if a client with this
// fingerprint in this network, so with the same library and settings, has completed a
// handshake that was not restricted to TLS 1.2.
func (s *State) mayNeedTLS12(now time.Time) bool {
	return s.Worked13.IsZero() || now.Sub(s.Worked13).Abs() > MaxAge
}

// trial returns the mode that a host is due to try.
func (s *State) trial(addr netip.Addr, initial sessionticket.Mode, now time.Time) (sessionticket.Mode, string, bool) {
	c := s.closer(addr)
	if c == nil || now.Sub(c.At).Abs() > retryTime {
		return 0, "", false
	}
	setBack := s.TrialAt.After(now.Add(maxWait)) // the clock: the wait would be too long
	if now.Before(s.TrialAt) && !setBack {
		return 0, "", false
	}
	mode, ok := s.untried(c.Outcome, initial, now)
	ok = ok && c.Penalty >= s.penaltyFor(mode, c)
	return mode, fmt.Sprintf("one connection, to see whether it helps: %v %v in mode %v", addr, c.Outcome, s.Mode), ok
}

// begin begins the trial of a mode by a host. Others get Mode meanwhile.
func (s *State) begin(addr netip.Addr, mode sessionticket.Mode, now time.Time) {
	s.Trying, s.Trial, s.TrialBy, s.TrialAt = true, mode, addr, now.Add(trialTime)
}

// tried records the outcome of a trial.
func (s *State) tried(outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) []Decision {
	s.Trying, s.TrialAt = false, now
	s.Closers = slices.Clone(s.Closers)
	c := s.closer(s.TrialBy)
	switch {
	case c == nil:
		return nil
	case outcome == handshake.Worked && s.Trial == sessionticket.TLS12 && s.Helped != s.TrialBy:
		s.Helped, c.Penalty = s.TrialBy, 0
		return nil
	case outcome == handshake.Worked:
		return s.settle(s.Trial, c.Outcome, initial, now)
	}
	s.Tried[s.Trial], c.At = true, now
	if s.Trial == sessionticket.TLS12 {
		s.Helped = netip.Addr{}
	}
	s.pauseTrials(c.Outcome, initial, now)
	return nil
}

// pauseTrials lets all modes be tried again after a time, if no mode helped against an outcome. Some
// may have failed for other senders of the network.
func (s *State) pauseTrials(outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) {
	if _, more := s.untried(outcome, initial, now); !more && s.Tried != (byMode[bool]{}) {
		s.Tried = byMode[bool]{}
		s.Trials++
		s.TrialAt = now.Add(wait(s.Trials))
	}
}

// settle moves the sender to a mode that helped in a trial.
func (s *State) settle(mode sessionticket.Mode, outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) []Decision {
	from, why := s.Mode, fmt.Sprintf("%v %v in mode %v, and completed a trial in mode %v", s.TrialBy, outcome, s.Mode, mode)
	s.set(mode, initial, why, now)
	s.RetryAt = now.Add(wait(s.Retries))
	s.Penalty, s.Confirmed, s.Tried = 0, false, byMode[bool]{}
	if mode == sessionticket.TLS12 {
		s.Penalty = maxPenalty - 1 // one failure there undoes it
	}
	if !safer(mode, from) {
		return s.decide(Reverted, from, why, now)
	}
	return s.decide(FellBack, from, why, now)
}

// untried returns the mode to try after a failure: the remedy, or if that failed already the
// least compatible mode that has not.
func (s *State) untried(outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) (sessionticket.Mode, bool) {
	for _, mode := range append([]sessionticket.Mode{s.remedy(outcome)}, reachable(initial)...) {
		if s.Tried[mode] || mode == s.Mode {
			continue
		}
		if mode != sessionticket.TLS12 || outcome != handshake.ClosedAfterReply && s.mayNeedTLS12(now) {
			return mode, true
		}
	}
	return 0, false
}
