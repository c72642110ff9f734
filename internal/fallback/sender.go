package fallback

import "net/netip"

// A Sender is who asks for a handshake.
type Sender struct {
	Addr        netip.Addr // its address; the zero Addr where that is unknown
	Fingerprint string     // of its ClientHello, the same whether it resumes or not
}

// key is what the memory of s is found by. Senders of one network with different
// fingerprints are different software: what one of them survives says nothing of the other.
func (s Sender) key() key { return key{Network(s.Addr), s.Fingerprint} }

// everywhere stands for the network in the memory of a fingerprint as a whole.
var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// Network is the network that a sender is remembered by: the /24 of an IPv4 address, the
// /48 of an IPv6 one, without its zone. It is the zero Prefix for the zero Addr.
func Network(addr netip.Addr) netip.Prefix { return cut(addr, 24, 48) }

// area is what networks have in common that are not unrelated: the /16 of IPv4, the /32 of
// IPv6, which is what a registry gives one provider.
func area(network netip.Prefix) netip.Prefix { return cut(network.Addr(), 16, 32) }

func cut(addr netip.Addr, bits4, bits6 int) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return netip.PrefixFrom(addr, bits4).Masked()
	}
	return netip.PrefixFrom(addr, bits6).Masked() // zero for the zero Addr
}
