package server

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"postern/internal/config"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
)

// openFleet returns this host's part of the fleet, or nil if there is none.
func openFleet(s *Server) (*fleet.Fleet, error) {
	c := s.config.Fleet
	if !c.Enabled {
		return nil, nil
	}
	s.observer.selector.Share(c.Name)
	path := config.LedgerFile(s.config.Data)
	f, err := fleet.New(fleet.Settings{
		Servers: c.Servers, Credentials: c.Credentials, Roots: c.Roots,
		Name: c.Name, Prefix: c.Prefix, Secret: c.Secret, File: config.FleetKeysFile(s.config.Data),
		UseKeys:  s.tls.SetSessionTicketKeys,
		Selector: s.observer.selector,
		// The metrics of the host that decided have them.
		Decided: func(decisions []fallback.Decision) { s.observer.ledger.AddDecisions(decisions) },
		SetPin:  func(p fallback.Pin) error { return ledger.SetPin(context.Background(), path, p) },
		RemovePin: func(network netip.Prefix) error {
			if err := ledger.RemovePin(context.Background(), path, network); !errors.Is(err, ledger.ErrNoPin) {
				return err
			}
			return nil
		},
		Now: time.Now, Log: s.log,
	})
	if err == nil && s.acme != nil {
		s.acme.Share(f.Share(s.acme.SharedFiles()))
	}
	return f, err
}
