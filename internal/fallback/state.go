package fallback

import (
	"fmt"
	"net/netip"
	"time"

	"postern/handshake"
	"postern/sessionticket"
)

// A State is what is known of one sender, or of a fingerprint in all networks if Network is
// ::/0. Network and Fingerprint are its key. Its fields are exported for storage only.
type State struct {
	Network     netip.Prefix
	Fingerprint string

	Mode  sessionticket.Mode
	Since time.Time // of Mode; zero in the initial mode
	Why   string    // reason for Mode; empty in the initial mode
	Seen  time.Time // its last handshake with a conclusive outcome

	Worked byMode[int] // completed handshakes
	Failed byMode[int] // silent closes

	Penalty int          // of failures in Mode, less completed handshakes
	Tried   byMode[bool] // modes that failed since a handshake last completed

	Confirmed bool      // a handshake completed in Mode since the last retry
	Retrying  bool      // a retry is under way
	Retries   int       // how often a less compatible mode was retried
	RetryAt   time.Time // earliest time of the next retry

	// Hosts that closed silently in Mode, and the trial of another mode: see trial.go.
	Closers  []Closer
	Trying   bool               // a trial is under way
	Trial    sessionticket.Mode // the mode of the last one
	TrialBy  netip.Addr         // the host that had it
	TrialAt  time.Time          // earliest time of the next one
	Trials   int                // how often no mode helped
	Helped   netip.Addr         // the host that TLS 1.2 helped once; zero if there is none
	Worked13 time.Time          // when a handshake last completed in a mode that allows TLS 1.3; see mayNeedTLS12

	// For a fingerprint: the unrelated areas of senders that failed in Mode and completed
	// in a more compatible mode, and the least compatible one of those.
	Areas []netip.Prefix
	Helps sessionticket.Mode

	Stamp Stamp // of its last change that hosts share; zero if there was none
}

// A failure in a mode that never worked for a sender is enough to fall back. In a mode that
// worked, a failure can be an accident: a process was killed, or a scanner with the same
// fingerprint is in the same network. The third one is enough, unless there are so many
// completed handshakes between them that fewer than one in 17 fails.
const (
	failurePenalty      = 16                 // completed handshakes that outweigh one failure
	maxPenalty          = 3 * failurePenalty // falls back when it is reached
	inconclusivePenalty = maxPenalty / 2     // in a more compatible mode that never worked
)

// choose returns the mode for a handshake of a host, and the reason. It reports whether that is an
// attempt in another mode, which begins.
func (s *State) choose(host netip.Addr, initial sessionticket.Mode, now time.Time) (mode sessionticket.Mode, why string, attempt bool) {
	if s.due(initial, now) {
		mode, why = s.retry(initial, now)
		return mode, why, true
	}
	if mode, why, due := s.trial(host, initial, now); due {
		s.begin(host, mode, now)
		return mode, why, true
	}
	return s.Mode, s.reason(), false
}

// learn records an outcome in the given mode.
func (s *State) learn(addr netip.Addr, mode sessionticket.Mode, outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) []Decision {
	switch {
	case outcome == handshake.Worked:
		s.Worked[mode]++
	case silent(outcome):
		s.Failed[mode]++
	}
	switch {
	case s.Retrying && mode == before(s.Mode, initial):
		return s.retried(mode, outcome, initial, now)
	case s.Trying && mode == s.Trial && addr == s.TrialBy:
		return s.tried(outcome, initial, now)
	case mode != s.Mode:
		return nil // the handshake began before the last change
	case outcome == handshake.Worked:
		s.confirm()
		s.exonerate(addr, now)
		return nil
	case silent(outcome) && s.needsTrial(outcome):
		s.suspect(addr, outcome, initial, now)
		return nil
	case s.penalize(outcome, initial) < maxPenalty:
		return nil
	default:
		return s.fallBack(outcome, initial, now)
	}
}

// silent reports whether the client closed silently.
func silent(outcome handshake.Outcome) bool {
	return outcome == handshake.ClosedAfterFlight || outcome == handshake.ClosedAfterTicket || outcome == handshake.ClosedAfterReply
}

// needsTrial reports whether the remedy of a silent close has to show first that it helps.
func (s *State) needsTrial(outcome handshake.Outcome) bool {
	justRecovered := s.Penalty > maxPenalty-failurePenalty
	switch remedy := s.remedy(outcome); {
	case !safer(remedy, s.Mode):
		return false // it is moved back
	case remedy == sessionticket.OwnWrite && outcome != handshake.ClosedAfterReply:
		return false // it costs no neighbour anything
	case justRecovered:
		return remedy == sessionticket.TLS12
	}
	return true
}

// confirm records a handshake that completed in Mode.
func (s *State) confirm() {
	s.Confirmed = true
	s.Tried = byMode[bool]{}
	s.Penalty = max(0, s.Penalty-1)
}

// penalize records a failure in Mode and returns the penalty.
func (s *State) penalize(outcome handshake.Outcome, initial sessionticket.Mode) int {
	worked := s.Worked[s.Mode] > 0
	switch {
	case outcome == handshake.Inconclusive && (worked || s.Mode == initial):
		return 0
	case outcome == handshake.Inconclusive:
		// A client may answer the more compatible mode with an alert; the mode that was to
		// help it must not lock it out.
		s.Penalty += inconclusivePenalty
	case worked:
		s.Penalty += failurePenalty
	default:
		s.Penalty = maxPenalty
	}
	return s.Penalty
}

// fallBack moves the sender to another mode.
func (s *State) fallBack(outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) []Decision {
	from, why := s.Mode, s.failure(outcome)
	s.Tried[from] = true
	s.set(s.next(outcome, initial), initial, why, now)
	s.RetryAt = now.Add(wait(s.Retries))
	s.Penalty, s.Confirmed = 0, false
	switch {
	case s.Mode == from:
		return nil // there is no other mode
	case safer(s.Mode, from):
		return s.decide(FellBack, from, why, now)
	default:
		return s.decide(Reverted, from, why, now)
	}
}

// set changes the mode. The initial mode needs no reason.
func (s *State) set(mode, initial sessionticket.Mode, why string, now time.Time) {
	s.Mode, s.Since, s.Why, s.Retrying = mode, now, why, false
	s.Closers, s.Trying, s.Helped = nil, false, netip.Addr{}
	if mode == initial {
		s.Since, s.Why = time.Time{}, ""
	}
}

// next returns the mode to use after a failure: the remedy, or if that failed already the
// least compatible mode that has not. If all failed, no mode helps, and the initial one
// gives up least.
func (s *State) next(outcome handshake.Outcome, initial sessionticket.Mode) sessionticket.Mode {
	if mode := s.remedy(outcome); !s.Tried[mode] {
		return mode
	}
	for _, mode := range reachable(initial) {
		if !s.Tried[mode] {
			return mode
		}
	}
	s.Tried = byMode[bool]{}
	return initial
}

// remedy returns the mode that avoids the cause of a silent close, and of those that do the
// one that gives up least. TestRemediesLoseFewestAttempts compares it with all others.
//
// After the ticket: in first-write the ticket came together with data, which own-write
// avoids. Otherwise the client accepts no ticket at any time.
//
// After the flight: in stock the ticket is in the flight. In the other modes the flight is
// the same for a client that does not resume, and only TLS 1.2 differs. A client that
// resumes gets another flight than in a full handshake, which no-ticket avoids.
func (s *State) remedy(outcome handshake.Outcome) sessionticket.Mode {
	afterTicket := outcome == handshake.ClosedAfterTicket || outcome == handshake.ClosedAfterReply
	gotTickets := s.Worked[sessionticket.Stock]+s.Worked[sessionticket.FirstWrite]+s.Worked[sessionticket.OwnWrite] > 0
	switch {
	case outcome == handshake.Inconclusive:
		return s.Mode // none is known
	case s.Mode == sessionticket.FirstWrite && afterTicket:
		return sessionticket.OwnWrite
	case afterTicket, s.Mode != sessionticket.Stock && givesTickets(s.Mode) && gotTickets:
		return sessionticket.NoTicket
	case s.Mode == sessionticket.Stock:
		return sessionticket.OwnWrite
	default:
		return sessionticket.TLS12
	}
}

// failure returns the reason to leave Mode.
func (s *State) failure(outcome handshake.Outcome) string {
	switch {
	case outcome == handshake.Inconclusive:
		return fmt.Sprintf("mode %v did not help", s.Mode)
	case s.Worked[s.Mode] > 0:
		return fmt.Sprintf("%v in mode %v, too often for %d completed sessions in that mode", outcome, s.Mode, s.Worked[s.Mode])
	case !s.Network.IsValid():
		return fmt.Sprintf("%v in mode %v; no session has completed in that mode", outcome, s.Mode)
	default:
		return fmt.Sprintf("%v in mode %v; no session from %v with this fingerprint has completed in that mode", outcome, s.Mode, s.Network)
	}
}

// How long a sender keeps its mode before a less compatible one is retried. A retry that
// fails delays one message until the sender's next attempt, in the end once in two weeks.
const (
	firstWait = 6 * time.Hour
	maxWait   = 14 * 24 * time.Hour
)

// wait doubles with each retry.
func wait(retries int) time.Duration {
	return min(firstWait<<min(retries, 8), maxWait)
}

// due reports whether to retry a less compatible mode now. A handshake must have completed in
// the known one since the last retry: a sender that connects less often than the wait would
// otherwise see nothing but retries.
func (s *State) due(initial sessionticket.Mode, now time.Time) bool {
	if !safer(s.Mode, initial) || !s.Confirmed {
		return false
	}
	setBack := s.RetryAt.After(now.Add(wait(s.Retries))) // the clock: the wait would be too long
	return setBack || !now.Before(s.RetryAt)
}

// retry starts a retry of the next less compatible mode, for one connection: those before
// RetryAt get the known mode, even if the outcome of this one never arrives. One step is
// enough: a client that fails in that mode fails in those before it.
func (s *State) retry(initial sessionticket.Mode, now time.Time) (sessionticket.Mode, string) {
	s.Retries++
	s.RetryAt = now.Add(wait(s.Retries))
	s.Retrying, s.Confirmed = true, false
	return before(s.Mode, initial), fmt.Sprintf("retry; mode %v works", s.Mode)
}

// retried records the outcome of a retry of the given mode.
func (s *State) retried(retried sessionticket.Mode, outcome handshake.Outcome, initial sessionticket.Mode, now time.Time) []Decision {
	s.Retrying = false
	if outcome != handshake.Worked {
		why := fmt.Sprintf("retried and %v; mode %v works", outcome, s.Mode)
		return s.decide(RetryFailed, retried, why, now)
	}
	from, why := s.Mode, fmt.Sprintf("retried mode %v and completed", retried)
	s.set(retried, initial, why, now)
	s.RetryAt = now.Add(firstWait)
	s.confirm()
	s.Penalty = maxPenalty - 1 // few handshakes have completed in it: one failure undoes the change
	return s.decide(Recovered, from, why, now)
}

// reason returns why the sender has its mode.
func (s *State) reason() string {
	if s.Since.IsZero() {
		return "initial mode"
	}
	return fmt.Sprintf("since %s: %s", stamp(s.Since), s.Why)
}

// stamp writes a time for operators.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
