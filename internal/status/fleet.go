package status

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"postern/internal/fleet"
	"postern/internal/ledger"
)

// A HostBook is the ledger as far as Hosts needs it; see [ledger.Reader].
type HostBook interface {
	Checks(ctx context.Context, f ledger.CheckFilter) ([]ledger.Check, error)
}

// Hosts returns the hosts of the fleet by name, and how they do now, as the server of this host has
// stored it last. Without a fleet there are none.
func Hosts(ctx context.Context, book HostBook, now time.Time) ([]fleet.Member, error) {
	stored, err := book.Checks(ctx, ledger.CheckFilter{Kind: ledger.FleetCheck, Limit: fleet.MaxHosts})
	if err != nil {
		return nil, err
	}
	hosts := make([]fleet.Host, len(stored))
	for i, one := range stored {
		if err := json.Unmarshal(one.Summary, &hosts[i]); err != nil {
			return nil, fmt.Errorf("reading the host %q of the fleet: %w", one.Name, err)
		}
	}
	return fleet.Judge(hosts, now), nil
}

// hostCards returns cards of the hosts that an operator has to look after.
func hostCards(members []fleet.Member) (cards []Card) {
	for _, m := range members {
		if m.Health.Trouble() {
			cards = append(cards, Card{Title: m.Title(), First: m.Seen, Host: &m})
		}
	}
	return cards
}
