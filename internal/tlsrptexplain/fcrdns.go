package tlsrptexplain

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// Limits of the DNS queries for one report.
const (
	maxLookups = 64
	maxNames   = 4 // of one address: mail servers do not have more
)

// confirmedNames returns the names of addresses by forward-confirmed reverse DNS. The
// owner of an address can give it any name in its reverse zone, so only a name that
// resolves to the address counts (RFC 8601, Section 3). Addresses beyond the first
// maxLookups, and those whose queries fail, have no name.
func confirmedNames(ctx context.Context, r Resolver, addrs []netip.Addr) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, lookupsTimeout)
	defer cancel()
	var mu sync.Mutex
	names := make(map[netip.Addr]string)
	inParallel(addrs[:min(len(addrs), maxLookups)], func(addr netip.Addr) {
		if name := confirmedName(ctx, r, addr); name != "" {
			mu.Lock()
			defer mu.Unlock()
			names[addr] = name
		}
	})
	return names
}

// confirmedName returns the first name of an address that resolves to the address.
func confirmedName(ctx context.Context, r Resolver, addr netip.Addr) string {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	names, _ := r.LookupAddr(ctx, addr.String()) // it may return valid names with an error
	for _, name := range names[:min(len(names), maxNames)] {
		addrs, _ := r.LookupNetIP(ctx, "ip", name)
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == addr }) {
			return name
		}
	}
	return ""
}
