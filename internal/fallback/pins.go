package fallback

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/sessionticket"
)

// A Pin fixes the mode of all senders of a network, whatever their states are.
type Pin struct {
	Network netip.Prefix       `json:"network"` // of any length; the longest that contains a sender applies
	Mode    sessionticket.Mode `json:"mode"`
	Why     string             `json:"why"`   // the operator's reason
	Since   time.Time          `json:"since"` // when it was set
}

// reason returns why a pinned sender has its mode.
func (p Pin) reason() string {
	return fmt.Sprintf("%v pinned since %s: %s", p.Network, stamp(p.Since), p.Why)
}

// A PinChange is the last change of a network's pin. Hosts of a fleet keep the later one of two, so that
// they come to the same pins in whatever order and however often changes arrive.
type PinChange struct {
	Pin     Pin       `json:"pin"` // of one that was removed, the network only
	Removed bool      `json:"removed,omitempty"`
	Changed time.Time `json:"changed"` // by the host's clock, and later than each change that it knew
	Host    string    `json:"host"`    // where it was changed
}

// After reports whether c is the later of two changes of one network's pin. Hosts that changed it at
// the same time have the order of their names. Times count in milliseconds.
func (c PinChange) After(other PinChange) bool { return c.compare(other) > 0 }

// compare orders all changes that differ, so that two processes with the same name do no harm either.
func (c PinChange) compare(other PinChange) int {
	removed := func(c PinChange) int {
		if c.Removed {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(c.Changed.UnixMilli(), other.Changed.UnixMilli()),
		cmp.Compare(c.Host, other.Host),
		cmp.Compare(removed(c), removed(other)),
		cmp.Compare(c.Pin.Mode, other.Pin.Mode),
		cmp.Compare(c.Pin.Why, other.Pin.Why),
		cmp.Compare(c.Pin.Since.UnixMilli(), other.Pin.Since.UnixMilli()),
	)
}

// SetPins replaces all pins and returns the changes, ordered by network. Of two pins of one
// network the last applies. The first call returns none: operators set those pins earlier.
func (sel *Selector) SetPins(pins []Pin, now time.Time) []Decision {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	first := sel.pins == nil
	before := byNetwork(sel.pins)
	after := byNetwork(pins)
	sel.pins = make([]Pin, 0, len(after))
	var decisions []Decision
	for network, pin := range after {
		sel.pins = append(sel.pins, pin)
		old, had := before[network]
		if !had {
			old.Mode = sel.initial
		}
		if !had || old.Mode != pin.Mode {
			decisions = append(decisions, Decision{At: now, Kind: Pinned, Network: network, From: old.Mode, To: pin.Mode, Why: pin.Why})
		}
	}
	for network, pin := range before {
		if _, kept := after[network]; !kept {
			decisions = append(decisions, Decision{At: now, Kind: Unpinned, Network: network, From: pin.Mode, To: sel.initial, Why: "pin removed: " + pin.Why})
		}
	}
	slices.SortFunc(sel.pins, func(a, b Pin) int { return cmp.Compare(b.Network.Bits(), a.Network.Bits()) })
	if first {
		return nil
	}
	slices.SortFunc(decisions, func(a, b Decision) int { return a.Network.Compare(b.Network) })
	return decisions
}

// Pins returns the pins, the longest networks first.
func (sel *Selector) Pins() []Pin {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	return slices.Clone(sel.pins)
}

func byNetwork(pins []Pin) map[netip.Prefix]Pin {
	found := make(map[netip.Prefix]Pin, len(pins))
	for _, pin := range pins {
		pin.Network = pin.Network.Masked()
		found[pin.Network] = pin
	}
	return found
}

// pinned returns the pin that applies to addr.
func (sel *Selector) pinned(addr netip.Addr) (Pin, bool) {
	addr = addr.Unmap().WithZone("")
	for _, pin := range sel.pins {
		if pin.Network.Contains(addr) {
			return pin, true
		}
	}
	return Pin{}, false
}

// ParseNetwork parses a network, or an address as a network of one. IPv4 written as IPv6 is IPv4, as
// the addresses of clients are.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network, such as 192.0.2.0/24", text)
	}
	if network.Addr().Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return network.Masked(), nil
}
