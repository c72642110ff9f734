package main

import (
	"cmp"
	"errors"

	"postern/internal/probe"
)

// probeStatus gathers the exit status of all targets.
type probeStatus struct {
	worst probe.Severity
	usage bool
}

func (s *probeStatus) note(r probed) {
	switch {
	case r.err == nil:
		s.worst = max(s.worst, r.report.Severity())
	case errors.Is(r.err, probe.ErrTarget):
		s.usage = true
	default:
		s.worst = max(s.worst, probe.Unclear)
	}
}

// usual is the exit status as in the package comment.
func (s *probeStatus) usual() error {
	switch {
	case s.usage:
		return exitStatus(exitUsage)
	case s.worst >= probe.Warning:
		return exitStatus(exitFailed)
	case s.worst == probe.Unclear:
		return exitStatus(exitUnclear)
	}
	return nil
}

// monitoring is the exit status that plugins of monitoring systems have.
func (s *probeStatus) monitoring() error {
	if s.usage {
		return exitStatus(3)
	}
	if status := cmp.Or(map[probe.Severity]int{probe.Warning: 1, probe.Critical: 2, probe.Unclear: 3}[s.worst], 0); status > 0 {
		return exitStatus(status)
	}
	return nil
}
