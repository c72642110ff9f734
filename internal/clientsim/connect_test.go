package clientsim

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/persona"
	"postern/internal/probe"
)

// outcomes is a client with these outcomes, one a connection.
func outcomes(all ...probe.Outcome) *client {
	var connections atomic.Int64
	return &client{connect: func(context.Context, persona.Target) Cell {
		return Cell{Outcome: all[connections.Add(1)-1]}
	}}
}

func TestFailuresOfADyingServerAreInconclusive(t *testing.T) {
	for name, tt := range map[string]struct{ first, last, want probe.Outcome }{
		"healthy at both ends": {probe.Completed, probe.Completed, probe.Failed},
		"down at the end":      {probe.Completed, probe.Failed, probe.Inconclusive},
		"always down":          {probe.Failed, probe.Failed, probe.Failed},
	} {
		clients := []*client{outcomes(tt.first, tt.last), outcomes(probe.Failed), outcomes(probe.Completed)}
		var got []probe.Outcome
		for _, c := range connectAll(t.Context(), clients, persona.Target{}, func() {}) {
			got = append(got, c.Outcome)
		}
		if want := []probe.Outcome{tt.first, tt.want, probe.Completed}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestFewConnectionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		var clients []*client
		for range 9 {
			clients = append(clients, &client{connect: func(context.Context, persona.Target) Cell {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return Cell{Outcome: probe.Failed}
			}})
		}
		connectAll(t.Context(), clients, persona.Target{}, func() {})
		if most.Load() != connectionsAtOnce {
			t.Errorf("%d at once, want %d", most.Load(), connectionsAtOnce)
		}
	})
}
