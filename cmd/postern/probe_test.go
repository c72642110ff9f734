package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"postern/internal/probe"
)

// Whoever presses Ctrl-C in the middle is told of no server that does not answer: it
// was not waited for.
func TestProbeThatIsStoppedTellsNothingOfServers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out, said bytes.Buffer
	p := probing{Targets: []string{"mx.test"}}
	_, _, err := p.once(ctx, terminal{out: &out, err: &said}, func(context.Context, string) (*probe.Report, error) {
		stop()
		return &probe.Report{Whole: []probe.Finding{{ID: "unreachable", Severity: probe.Unclear}}}, nil
	})
	if status := exitStatus(0); !errors.As(err, &status) || status != exitUnclear {
		t.Errorf("ended with %v, want status %d", err, exitUnclear)
	}
	if want := "postern: error: stopped before all was examined\n"; out.Len() > 0 || said.String() != want {
		t.Errorf("said %q and %q, want %q alone", out.String(), said.String(), want)
	}
}
