package server

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"postern/internal/alert"
	"postern/internal/buildinfo"
	"postern/internal/config"
	"postern/internal/fleet"
	"postern/internal/ledger"
)

// openFleet returns this host's part of the fleet, or nil if there is none.
func openFleet(s *Server) (*fleet.Fleet, error) {
	c := s.config.Fleet
	if !c.Enabled {
		s.showHosts(nil) // of an earlier configuration
		return nil, nil
	}
	s.observer.selector.Share(c.Name)
	f, err := fleet.New(fleet.Settings{
		Access: c.Access, Version: buildinfo.Read().Version, File: config.FleetKeysFile(s.config.Data),
		UseKeys:   s.tls.SetSessionTicketKeys,
		ShowHosts: s.showHosts,
		Selector:  s.observer.selector,
		// The metrics of the host that decided have them.
		Decided: s.observer.ledger.AddAdopted,
		Events:  s.observer.ledger, Pins: s.observer.ledger,
		Now: time.Now, Log: s.log,
	})
	if err == nil && s.acme != nil {
		s.acme.Share(f.Share(s.acme.SharedFiles()))
	}
	return f, err
}

// leaveTime is how long sharing may take to end on shutdown.
const leaveTime = 2 * time.Second

// startFleet shares until ctx ends or leave is called. That says to the others that this host has
// stopped.
func (s *Server) startFleet(ctx context.Context) (leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	left := make(chan struct{})
	go func() {
		defer close(left)
		s.fleet.Run(ctx)
	}()
	return func() {
		cancel()
		select {
		case <-left:
		case <-time.After(leaveTime):
		}
	}
}

// showHosts stores the hosts of the fleet, for pages and commands.
func (s *Server) showHosts(hosts []fleet.Host) {
	var names []string
	for _, h := range hosts {
		summary, err := json.Marshal(h)
		if err != nil {
			continue // its times are out of range
		}
		s.observer.ledger.AddCheck(ledger.Check{Kind: ledger.FleetCheck, Name: h.Name, At: h.Seen, Summary: summary})
		names = append(names, h.Name)
	}
	s.observer.ledger.KeepChecks(ledger.FleetCheck, names)
}

// fleetSettleTime is how long a host has to be missing or alone before that is an alert: it may
// restart, or NATS may.
const fleetSettleTime = 5 * time.Minute

// fleetHealth judges the fleet for alerts.
type fleetHealth struct {
	alone time.Time // since when this host does not share; zero: it does
}

// conditions returns what is wrong with the fleet. A host says of itself that it is alone. That
// others are missing one host says, the first by name, so that there is one message.
func (f *fleetHealth) conditions(hosts []fleet.Host, now time.Time) (found []alert.Condition) {
	members := fleet.Judge(hosts, now)
	self := slices.IndexFunc(members, func(m fleet.Member) bool { return m.Self })
	switch {
	case self < 0: // there is no fleet
		return nil
	case members[self].Health != fleet.Alone:
		f.alone = time.Time{}
	case f.alone.IsZero():
		f.alone = now
	case now.Sub(f.alone) >= fleetSettleTime:
		found = append(found, hostCondition(alert.HostAlone, members[self], f.alone))
	}
	if slices.IndexFunc(members, func(m fleet.Member) bool { return m.Health.Sharing() }) != self {
		return found
	}
	for _, m := range members {
		if m.Health == fleet.Missing && now.Sub(m.Seen) >= fleetSettleTime {
			found = append(found, hostCondition(alert.HostMissing, m, m.Seen))
		}
	}
	return found
}

func hostCondition(kind alert.Kind, m fleet.Member, since time.Time) alert.Condition {
	return alert.Condition{Kind: kind, Subject: m.Name, Since: since, Text: m.Text(), Next: m.Next()}
}

// nameInFleet is this host's name in its fleet; empty if there is none.
func nameInFleet(c *config.Config) string {
	if !c.Fleet.Enabled {
		return ""
	}
	return c.Fleet.Name
}
