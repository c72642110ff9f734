package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrTimeUp is the error of a run that was not made, or not to its end, because the time of
// the probe was up. It says nothing about the server.
var ErrTimeUp = errors.New("not made: the time of the probe was up")

// timeIsUp reports whether the time of a probe is up: also before the context says so, which may be
// after the end of a connection that had the same deadline. A probe that is interrupted has no
// results.
func timeIsUp(ctx context.Context) bool {
	if err := ctx.Err(); err != nil {
		return errors.Is(err, context.DeadlineExceeded)
	}
	end, limited := ctx.Deadline()
	return limited && !time.Now().Before(end)
}

// enoughTime is how long the first client waits before its failure is the server's: the usual
// greeting delay against spam is 30 s. With less than twice that for the whole probe, half of
// it is enough.
const enoughTime = 30 * time.Second

// hadTime reports whether a client that began at a time could have had an answer.
func (p *addressProbe) hadTime(began time.Time) bool {
	return !timeIsUp(p.ctx) || time.Since(began) >= min(enoughTime, p.limit/2)
}

// notMade notes a check that was not made because time was up.
func (p *addressProbe) notMade(check string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmade = append(p.unmade, check)
}

// checkTimeUp reports the checks of an address that were not made because time was up.
func checkTimeUp(p *addressProbe) []Finding {
	var evidence []string
	if p.first.Completed && p.firstTook > 0 {
		evidence = []string{fmt.Sprintf("the first client took %.1f s", p.firstTook.Seconds())}
	}
	return timeUp(p.limit, p.firstTook, p.unmade, evidence...)
}

// maxUnmade bounds the checks that evidence names.
const maxUnmade = 8

// timeUp reports checks that were not made after limit, with more evidence; nothing if there
// are none. A check takes the time each, or an unknown one.
func timeUp(limit, each time.Duration, unmade []string, evidence ...string) []Finding {
	if len(unmade) == 0 {
		return nil
	}
	checks := "checks"
	if len(unmade) == 1 {
		checks = "check"
	}
	names := strings.Join(unmade[:min(len(unmade), maxUnmade)], ", ")
	if more := len(unmade) - maxUnmade; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return []Finding{{
		ID: "time-up", Severity: Unclear,
		Title:    fmt.Sprintf("Time was up after %s: %d %s not made", brief(limit), len(unmade), checks),
		Evidence: append([]string{"not made: " + names}, evidence...),
		Advice:   forAll("Allow more time: --timeout " + brief(longer(limit, each, len(unmade)))),
	}}
}

// longer returns a time in which n more checks can be made, two at a time.
func longer(limit, each time.Duration, n int) time.Duration {
	most := max(2*limit, limit+each*time.Duration(n)/2)
	if most > time.Minute {
		most = (most + time.Minute - 1).Truncate(time.Minute)
	}
	return most
}

// brief returns a duration as one types it: 2m, not 2m0s.
func brief(d time.Duration) string {
	d = max(d.Round(time.Second), time.Second)
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
