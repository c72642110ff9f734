package ledger

import (
	"context"

	"postern/internal/fallback"
)

// A SenderHistory is what the ledger has about one or several senders.
type SenderHistory struct {
	Senders   []Sender
	Days      []Day
	Decisions []Decision
	Pins      []fallback.Pin // of networks that overlap
	Failed    []Handshake    // the last ten
	Refusals  []Refusal      // the last ten
}

// Empty reports whether there is nothing about the sender. Of one that was at other hosts of a fleet
// only, there are their decisions.
func (h SenderHistory) Empty() bool {
	return len(h.Senders) == 0 && len(h.Pins) == 0 && len(h.Decisions) == 0 && len(h.Refusals) == 0
}

// lastOfHistory is how many failed handshakes and refusals a history has.
const lastOfHistory = 10

// SenderHistory returns what the ledger has about the senders that match f. It uses Since,
// Until, Sender, Host, ByHost and Limit.
func (r *Reader) SenderHistory(ctx context.Context, f Filter) (history SenderHistory, err error) {
	if history.Senders, err = r.Senders(ctx, f); err != nil {
		return history, err
	}
	if history.Days, err = r.Days(ctx, f); err != nil {
		return history, err
	}
	if history.Pins, err = r.pinsOf(ctx, f); err != nil {
		return history, err
	}
	if history.Decisions, err = r.Decisions(ctx, f); err != nil {
		return history, err
	}
	last := Filter{Since: f.Since, Until: f.Until, Sender: f.Sender, Host: f.Host, Failed: true, Limit: lastOfHistory}
	if history.Failed, err = r.Handshakes(ctx, last); err != nil {
		return history, err
	}
	history.Refusals, err = r.Refusals(ctx, RefusalFilter{Since: f.Since, Until: f.Until, Sender: f.Sender, Host: f.Host, Limit: lastOfHistory})
	return history, err
}

// pinsOf returns the pins that apply to f's sender, if that is an address or a network.
func (r *Reader) pinsOf(ctx context.Context, f Filter) (matching []fallback.Pin, err error) {
	network, named := f.network()
	if !named {
		return nil, nil // part of a name
	}
	all, err := r.Pins(ctx)
	for _, p := range all {
		if p.Network.Overlaps(network) {
			matching = append(matching, p)
		}
	}
	return matching, err
}
