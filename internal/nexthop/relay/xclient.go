package relay

import (
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
