package smtp

import (
	"net/netip"
	"strconv"
	"strings"
)

// An XClient is what a front-end says of a client by the command XCLIENT
// (https://www.postfix.org/XCLIENT_README.html).
type XClient struct {
	Named bool       // ADDR was given
	Addr  netip.Addr // the zero Addr: the client has none
	Port  uint16     // 0: unknown

	DestAddr netip.Addr // that the client has connected to; the zero Addr: unknown
	DestPort uint16

	Greeting string // the argument of the client's EHLO or HELO; empty: unknown
	Extended bool   // it was EHLO
}

// XClientAttributes are those that [XClient.Parse] knows, as the reply to EHLO lists them.
const XClientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// Values of attributes whose value is not known, and of a name that may be known later.
const (
	XClientUnavailable = "[UNAVAILABLE]"
	xclientTemporarily = "[TEMPUNAVAIL]"
)

// MaxXClientValue bounds a decoded value, in bytes.
const MaxXClientValue = 255

// Parse sets what the argument of XCLIENT says. What it does not say stays, since a front-end may
// need several commands. Its error is a [*Refusal].
func (x *XClient) Parse(arg string) error {
	attributes := strings.Fields(arg)
	if len(attributes) == 0 {
		return refuse(501, "5.5.4", "XCLIENT needs an attribute, such as ADDR")
	}
	for _, attribute := range attributes {
		name, value, ok := strings.Cut(attribute, "=")
		name = strings.ToUpper(name)
		if ok {
			ok = x.set(name, value)
		}
		if !ok {
			return refuse(501, "5.5.4", "XCLIENT has an attribute that is unknown or not valid")
		}
	}
	return nil
}

// set sets one attribute, and reports whether it is valid.
func (x *XClient) set(name, value string) bool {
	if value == XClientUnavailable || value == xclientTemporarily {
		value = ""
	} else if value == "" {
		return false
	}
	switch name {
	case "ADDR":
		x.Named = true
		return setXClientAddr(&x.Addr, value)
	case "PORT":
		return setXClientPort(&x.Port, value)
	case "DESTADDR":
		return setXClientAddr(&x.DestAddr, value)
	case "DESTPORT":
		return setXClientPort(&x.DestPort, value)
	case "HELO":
		greeting, ok := decodeXtext(value)
		x.Greeting = greeting
		return ok && len(greeting) <= MaxXClientValue && checkCharacters(greeting) == nil
	case "PROTO":
		x.Extended = strings.EqualFold(value, "ESMTP")
		return x.Extended || value == "" || strings.EqualFold(value, "SMTP")
	case "NAME", "LOGIN":
		return true // not used: Postern looks up names itself, and senders do not log in
	}
	return false
}

// setXClientAddr sets an address, which is IPv6 if and only if it has that prefix.
func setXClientAddr(to *netip.Addr, value string) bool {
	if *to = (netip.Addr{}); value == "" {
		return true
	}
	const prefix = "IPV6:"
	is6 := len(value) > len(prefix) && strings.EqualFold(value[:len(prefix)], prefix)
	if is6 {
		value = value[len(prefix):]
	}
	addr, err := netip.ParseAddr(value)
	if err != nil || addr.Is6() != is6 || addr.Zone() != "" {
		return false
	}
	*to = addr.Unmap()
	return true
}

func setXClientPort(to *uint16, value string) bool {
	if *to = 0; value == "" {
		return true
	}
	port, err := strconv.ParseUint(value, 10, 16)
	*to = uint16(port)
	return err == nil
}
