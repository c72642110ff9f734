package organization

import (
	"context"
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Resolver looks up names and addresses, as [net.Resolver] does.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// maxNames is how many names of one address are tried: mail servers do not have more.
const maxNames = 4

// ConfirmedName returns the first name of an address that resolves to the address. The owner
// of an address can give it any name in its reverse zone, so no other counts (RFC 8601,
// Section 3). It returns an error if there is no such name because the resolver did not answer.
func ConfirmedName(ctx context.Context, r Resolver, addr netip.Addr) (string, error) {
	addr = addr.Unmap().WithZone("")
	names, err := r.LookupAddr(ctx, addr.String()) // it may return valid names with an error
	for _, name := range names[:min(len(names), maxNames)] {
		addrs, failed := r.LookupNetIP(ctx, "ip", name)
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == addr }) {
			return name, nil
		}
		if failed != nil {
			err = failed
		}
	}
	return "", err
}

var number = regexp.MustCompile(`[0-9]+`)

// Generic reports whether a name only repeats an IPv4 address, as providers name the hosts of
// their customers: it says whose the address is, but not whose the sender is.
func Generic(name string, addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.Is4() {
		return false
	}
	found := number.FindAllString(name, -1)
	octets := addr.As4()
	all := true
	for _, octet := range octets {
		i := slices.IndexFunc(found, func(n string) bool { v, err := strconv.Atoi(n); return err == nil && v == int(octet) })
		if i < 0 {
			all = false
			break
		}
		found = slices.Delete(found, i, i+1)
	}
	return all || strings.Contains(strings.ToLower(name), hex.EncodeToString(octets[:]))
}
