package tlsrptexplain

import "time"

// A Run is a time in which all reports say the same of a policy.
type Run struct {
	From, To           time.Time
	State              State
	Reports            int
	Successful, Failed int64
}

// A State is how the sessions of a report went.
type State string

// The states.
const (
	AllIn  State = "all sessions got in"
	SomeIn State = "some sessions failed"
	NoneIn State = "no session got in"
)

func stateOf(successful, failed int64) State {
	switch {
	case failed == 0:
		return AllIn
	case successful == 0:
		return NoneIn
	}
	return SomeIn
}

// join takes in the next span.
func (r *Run) join(s Run) {
	r.To = s.To
	r.Reports += s.Reports
	r.Successful += s.Successful
	r.Failed += s.Failed
}

// overlay takes in a span about hours that r is about too: adding up would count sessions twice.
func (r *Run) overlay(s Run) {
	r.Reports++
	if s.To.After(r.To) {
		r.To = s.To
	}
	r.Successful, r.Failed = max(r.Successful, s.Successful), max(r.Failed, s.Failed)
	r.State = stateOf(r.Successful, r.Failed)
}

func (r Run) firstDay() string { return r.From.UTC().Format(time.DateOnly) }

// lastDay is that of the last instant: reports end at 23:59:59, or at the midnight behind.
func (r Run) lastDay() string { return r.To.Add(-time.Second).UTC().Format(time.DateOnly) }
