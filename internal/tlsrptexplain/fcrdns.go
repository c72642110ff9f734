package tlsrptexplain

import (
	"context"
	"net/netip"
	"sync"

	"postern/internal/organization"
)

// maxLookups bounds the addresses that are looked up for one report.
const maxLookups = 64

// confirmedNames returns the names of addresses by forward-confirmed reverse DNS. Addresses
// beyond the first maxLookups, and those whose queries fail, have no name.
func confirmedNames(ctx context.Context, r Resolver, addrs []netip.Addr) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, lookupsTimeout)
	defer cancel()
	var mu sync.Mutex
	names := make(map[netip.Addr]string)
	inParallel(addrs[:min(len(addrs), maxLookups)], func(addr netip.Addr) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		if name, _ := organization.ConfirmedName(ctx, r, addr); name != "" {
			mu.Lock()
			defer mu.Unlock()
			names[addr] = name
		}
	})
	return names
}
