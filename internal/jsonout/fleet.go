package jsonout

import (
	"time"

	"postern/internal/fleet"
)

// A FleetHost is a host of the fleet, as in docs/json.md.
type FleetHost struct {
	fleet.Host
	State fleet.Health `json:"state"`
	Clock float64      `json:"clock_seconds,omitzero"`
	Lag   float64      `json:"lag_seconds,omitzero"`
	Text  string       `json:"text,omitempty"`
	Next  string       `json:"next,omitempty"`
}

func NewFleetHost(m fleet.Member) FleetHost {
	return FleetHost{m.Host, m.Health, m.Ahead().Round(time.Millisecond).Seconds(), m.Lag().Round(time.Millisecond).Seconds(), m.Text(), m.Next()}
}
