package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Why there is nothing to examine.
var (
	ErrTarget   = errors.New("want a domain, a host, an address, or host:port")
	ErrNoMail   = errors.New("takes no mail (a null MX record, RFC 7505)")
	ErrNotFound = errors.New("no such domain or host, or it has no address")
)

// A target is what was asked for, read.
type target struct {
	name string     // a domain or host, in A-labels; empty: an address
	addr netip.Addr // zero: a name
	port uint16     // 0: none given
}

func parseTarget(text string) (target, error) {
	wrong := fmt.Errorf("probe: target %s: %w", quoted(text), ErrTarget)
	var t target
	rest := text
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return target{addr: addr.Unmap()}, nil
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return t, wrong
		}
		t.port, rest = uint16(number), host
	}
	if addr, err := netip.ParseAddr(rest); err == nil {
		t.addr = addr.Unmap()
		return t, nil
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(rest, "."))
	if err != nil || name == "" || len(name) > 253 {
		return t, wrong
	}
	t.name = strings.ToLower(name)
	return t, nil
}
