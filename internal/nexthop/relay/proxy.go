package relay

import (
	"encoding/binary"
	"net/netip"

	"postern/internal/nexthop"
)

const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// appendProxyV2 adds a PROXY protocol header, version 2, to b (Section 2.2 of
// https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). Without a
// sender whose address is known, it says that the connection is our own
// (LOCAL).
func appendProxyV2(b []byte, sender *nexthop.Sender) []byte {
	b = append(b, proxySignature...)
	if !isKnown(sender) {
		return append(b, 0x20, 0, 0, 0)
	}
	from, to := sender.Addr.Addr().Unmap(), sender.Local.Addr().Unmap()
	family := byte(0x11) // TCP over IPv4
	if !from.Is4() || !to.Is4() {
		family = 0x21 // TCP over IPv6
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	b = append(b, 0x21, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*(from.BitLen()/8+2)))
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, sender.Addr.Port())
	return binary.BigEndian.AppendUint16(b, sender.Local.Port())
}

// isKnown reports whether a header can tell of sender.
func isKnown(sender *nexthop.Sender) bool {
	return sender != nil && sender.Addr.IsValid() && sender.Local.IsValid()
}
