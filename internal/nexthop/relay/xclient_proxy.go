package relay

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// sendXClient gives the server the sender's address. After the reply 220 the
// session starts over with EHLO.
func (c *conn) sendXClient() error {
	mode := c.hop.config.XClient
	if mode == XClientOff || c.sender == nil {
		return nil
	}
	command := xclientCommand(c.caps["XCLIENT"], c.sender)
	if command == "" {
		if mode == XClientOn {
			return &missingError{"XCLIENT", "xclient=on"}
		}
		return nil
	}
	// A refusal ends the connection: the server may allow us more than the sender.
	reply, err := c.command(command)
	if reply.Code == 250 { // as the first description of XCLIENT had it; smtp-sink replies so
		reply.Code = 220
	}
	if err := expect(220, reply, err); err != nil {
		return err
	}
	c.useSenderName()
	return c.hello()
}

// xclientCommand returns the XCLIENT command with the attributes in offered, the
// parameters of the server's keyword XCLIENT, or "" if it knows none of them
// (https://www.postfix.org/XCLIENT_README.html).
func xclientCommand(offered string, sender *nexthop.Sender) string {
	protocol := "SMTP"
	if sender.Extended {
		protocol = "ESMTP"
	}
	wanted := strings.Fields(strings.ToUpper(offered))
	var b strings.Builder
	for _, attribute := range []struct{ name, value string }{
		// Names are not looked up. Without NAME, the server would keep ours.
		{"NAME", smtp.XClientUnavailable},
		{"ADDR", xclientAddr(sender)},
		{"PORT", xclientPort(sender)},
		{"PROTO", protocol},
		{"HELO", xclientValue(sender.Greeting)},
	} {
		if slices.Contains(wanted, attribute.name) {
			b.WriteString(" " + attribute.name + "=" + attribute.value)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "XCLIENT" + b.String()
}

func xclientAddr(sender *nexthop.Sender) string {
	addr := sender.Addr.Addr().Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return smtp.XClientUnavailable
	case addr.Is4():
		return addr.String()
	}
	return "IPV6:" + addr.String()
}

func xclientPort(sender *nexthop.Sender) string {
	if !sender.Addr.IsValid() {
		return smtp.XClientUnavailable
	}
	return strconv.Itoa(int(sender.Addr.Port()))
}

func xclientValue(s string) string {
	value := string(smtp.AppendXtext(nil, s))
	if value == "" || len(value) > smtp.MaxXClientValue { // it would exceed the bound on command lines
		return smtp.XClientUnavailable
	}
	return value
}

const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// sendProxyHeader begins the connection with a PROXY protocol header, if the
// configuration says so.
func (c *conn) sendProxyHeader() error {
	if c.hop.config.Proxy == 0 {
		return nil
	}
	if hasAddress(c.sender) {
		c.useSenderName()
	}
	_, err := c.Write(c.proxyHeader())
	return err
}

func (c *conn) proxyHeader() []byte {
	switch {
	case c.hop.config.Proxy == 2:
		return appendProxyV2(nil, c.sender)
	case hasAddress(c.sender):
		return appendProxyV1(nil, c.sender.Addr, c.sender.Local)
	}
	// Version 1 has no LOCAL, and servers such as chasquid refuse UNKNOWN.
	return appendProxyV1(nil, addressOf(c.LocalAddr()), addressOf(c.RemoteAddr()))
}

// addressOf returns the address of an end of a TCP connection; that of any other is 0.0.0.0.
func addressOf(end net.Addr) netip.AddrPort {
	if tcp, ok := end.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}

// appendProxyV2 appends a PROXY protocol header, version 2, to b (Section 2.2 of
// https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). Without the address
// of a sender the header says that the connection is our own (LOCAL).
func appendProxyV2(b []byte, sender *nexthop.Sender) []byte {
	b = append(b, proxySignature...)
	if !hasAddress(sender) {
		return append(b, 0x20, 0, 0, 0)
	}
	from, to := ofOneFamily(sender.Addr.Addr(), sender.Local.Addr())
	family := byte(0x11) // TCP over IPv4
	if from.Is6() {
		family = 0x21 // TCP over IPv6
	}
	b = append(b, 0x21, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*(from.BitLen()/8+2)))
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, sender.Addr.Port())
	return binary.BigEndian.AppendUint16(b, sender.Local.Port())
}

// appendProxyV1 appends a PROXY protocol header, version 1, to b (Section 2.1 of the same).
func appendProxyV1(b []byte, from, to netip.AddrPort) []byte {
	source, destination := ofOneFamily(from.Addr(), to.Addr())
	family := "TCP4"
	if source.Is6() {
		family = "TCP6"
	}
	return fmt.Appendf(b, "PROXY %s %s %s %d %d\r\n", family, source, destination, from.Port(), to.Port())
}

// ofOneFamily returns two addresses as a header has them: both are IPv4, or both are IPv6. Neither
// has a zone.
func ofOneFamily(a, b netip.Addr) (netip.Addr, netip.Addr) {
	a, b = a.Unmap(), b.Unmap()
	if a.Is4() && b.Is4() {
		return a, b
	}
	return netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
}

// hasAddress reports whether a header can describe sender.
func hasAddress(sender *nexthop.Sender) bool {
	return sender != nil && sender.Addr.IsValid() && sender.Local.IsValid()
}

// useSenderName makes the next EHLO the sender's: the server then takes us for the
// sender, and uses the name in its checks and its Received field.
func (c *conn) useSenderName() {
	if isHostname(c.sender.Greeting) {
		c.name = c.sender.Greeting
	}
}

// isHostname reports whether name may follow EHLO. Senders write all sorts of
// things there.
func isHostname(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return name != "" && len(name) <= smtp.MaxXClientValue
}
