package dashboard

import (
	"context"
	"net/netip"

	"postern/internal/fallback"
	"postern/internal/ledger"
)

// A senderMode is the TLS mode in which a sender is answered, as far as the ledger has it: the
// server stores what it knows every two seconds.
type senderMode struct {
	Text string // the mode; empty for the initial one
	Why  string
	Pin  bool
}

// knownModes are the pins, and the states of some networks.
type knownModes struct {
	pins   []fallback.Pin
	states map[stateName]fallback.State
}

type stateName struct {
	network     netip.Prefix
	fingerprint string
}

// modesOf reads what is known about senders.
func modesOf(ctx context.Context, book *ledger.Reader, senders []ledger.Sender) (known knownModes, err error) {
	if known.pins, err = book.Pins(ctx); err != nil {
		return known, err
	}
	networks := []netip.Prefix{fallback.Everywhere}
	for _, s := range senders {
		networks = append(networks, s.Network)
	}
	states, err := book.StatesOf(ctx, networks)
	known.states = make(map[stateName]fallback.State, len(states))
	for _, state := range states {
		known.states[stateName{state.Network, state.Fingerprint}] = state
	}
	return known, err
}

// of returns the mode of a sender: by the longest pin, by its own state, or by that of its
// fingerprint in all networks.
func (k knownModes) of(s ledger.Sender) senderMode {
	best := -1
	var mode senderMode
	for _, pin := range k.pins {
		if pin.Network.Contains(s.Network.Addr()) && pin.Network.Bits() <= s.Network.Bits() && pin.Network.Bits() > best {
			best, mode = pin.Network.Bits(), senderMode{pin.Mode.String(), pin.Why, true}
		}
	}
	if best >= 0 {
		return mode
	}
	for _, network := range []netip.Prefix{s.Network, fallback.Everywhere} {
		if state, ok := k.states[stateName{network, s.Fingerprint}]; ok && !state.Since.IsZero() {
			return senderMode{Text: state.Mode.String(), Why: state.Why}
		}
	}
	return senderMode{}
}
