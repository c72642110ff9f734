package relay

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

const (
	unavailable = "[UNAVAILABLE]"
	// maxAttribute is the most that a value may have. Longer names are not
	// told, as they would break the bound on command lines.
	maxAttribute = 255
)

// xclient tells the server about the sender. After its 220 the session begins
// anew.
func (o *opening) xclient() error {
	mode := o.hop.config.XClient
	if mode == XClientOff || o.sender == nil {
		return nil
	}
	command := xclientCommand(o.conn.caps["XCLIENT"], o.sender)
	if command == "" {
		if mode == XClientOn {
			return &missingError{"XCLIENT", "xclient=on"}
		}
		return nil
	}
	// A refusal is not passed over: as ourselves we may be allowed more than
	// the sender is.
	reply, err := o.conn.ask(command)
	if reply.Code == 250 { // as XCLIENT was first described; smtp-sink says so
		reply.Code = 220
	}
	if err := expect(220, reply, err); err != nil {
		return err
	}
	o.introduce()
	return o.hello()
}

// xclientCommand tells about the sender what the server wants to know: offered
// are the attributes that it named behind XCLIENT. It is "" if there are none
// (https://www.postfix.org/XCLIENT_README.html).
func xclientCommand(offered string, sender *nexthop.Sender) string {
	protocol := "SMTP"
	if sender.Extended {
		protocol = "ESMTP"
	}
	wanted := strings.Fields(strings.ToUpper(offered))
	var b strings.Builder
	for _, attribute := range []struct{ name, value string }{
		// Names are not looked up. Left out, NAME would stay our own.
		{"NAME", unavailable},
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
		return unavailable
	case addr.Is4():
		return addr.String()
	}
	return "IPV6:" + addr.String()
}

func xclientPort(sender *nexthop.Sender) string {
	if !sender.Addr.IsValid() {
		return unavailable
	}
	return strconv.Itoa(int(sender.Addr.Port()))
}

func xclientValue(s string) string {
	value := string(smtp.AppendXtext(nil, s))
	if value == "" || len(value) > maxAttribute {
		return unavailable
	}
	return value
}

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
