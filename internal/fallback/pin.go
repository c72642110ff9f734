package fallback

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A Pin holds every sender of a network on a rung, over anything that was learned.
type Pin struct {
	Network netip.Prefix // of any length; of several that contain a sender the longest counts
	Rung    Rung
	Why     string    // the operator's reason
	Since   time.Time // when it was set
}

func (p Pin) words() string {
	return fmt.Sprintf("%v is pinned since %s: %s", p.Network, p.Since.UTC().Format(time.DateTime), p.Why)
}

// SetPins replaces all pins and returns what has changed, in the order of the networks. Of
// two pins of one network the last counts. At start every pin is new to the Ladder,
// though not to the operator.
func (l *Ladder) SetPins(pins []Pin, now time.Time) []Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := byNetwork(l.pins)
	after := byNetwork(pins)
	l.pins = l.pins[:0]
	var decisions []Decision
	for network, pin := range after {
		l.pins = append(l.pins, pin)
		old, had := before[network]
		if !had {
			old.Rung = l.first
		}
		if !had || old.Rung != pin.Rung {
			decisions = append(decisions, Decision{At: now, Kind: Pinned, Network: network, From: old.Rung, To: pin.Rung, Why: pin.Why})
		}
	}
	for network, pin := range before {
		if _, kept := after[network]; !kept {
			decisions = append(decisions, Decision{At: now, Kind: Unpinned, Network: network, From: pin.Rung, To: l.first, Why: "the pin was removed: " + pin.Why})
		}
	}
	slices.SortFunc(l.pins, func(a, b Pin) int { return cmp.Compare(b.Network.Bits(), a.Network.Bits()) })
	slices.SortFunc(decisions, func(a, b Decision) int { return a.Network.Compare(b.Network) })
	return decisions
}

func byNetwork(pins []Pin) map[netip.Prefix]Pin {
	found := make(map[netip.Prefix]Pin, len(pins))
	for _, pin := range pins {
		pin.Network = pin.Network.Masked()
		found[pin.Network] = pin
	}
	return found
}

// pinned returns the pin that holds for addr.
func (l *Ladder) pinned(addr netip.Addr) (Pin, bool) {
	addr = addr.Unmap().WithZone("")
	for _, pin := range l.pins {
		if pin.Network.Contains(addr) {
			return pin, true
		}
	}
	return Pin{}, false
}
