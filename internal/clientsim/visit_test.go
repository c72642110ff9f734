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

// fates is a client that has these fates, one a visit.
func fates(all ...probe.Outcome) *client {
	var visits atomic.Int64
	return &client{visit: func(context.Context, persona.Target) Cell {
		return Cell{Outcome: all[visits.Add(1)-1]}
	}}
}

func TestFailuresOfADyingServerSayNothing(t *testing.T) {
	for name, tt := range map[string]struct{ first, last, want probe.Outcome }{
		"well at both ends": {probe.Completed, probe.Completed, probe.Failed},
		"gone at the end":   {probe.Completed, probe.Failed, probe.Inconclusive},
		"lets nobody in":    {probe.Failed, probe.Failed, probe.Failed},
	} {
		b := &bench{clients: []*client{fates(tt.first, tt.last), fates(probe.Failed), fates(probe.Completed)}}
		var got []probe.Outcome
		for _, c := range b.visit(t.Context(), persona.Target{}) {
			got = append(got, c.Outcome)
		}
		if want := []probe.Outcome{tt.first, tt.want, probe.Completed}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestFewVisitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		b := new(bench)
		for range 9 {
			b.clients = append(b.clients, &client{visit: func(context.Context, persona.Target) Cell {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return Cell{Outcome: probe.Failed}
			}})
		}
		b.visit(t.Context(), persona.Target{})
		if most.Load() != visitsAtOnce {
			t.Errorf("%d at once, want %d", most.Load(), visitsAtOnce)
		}
	})
}
