package tlsrptexplain

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// What looking names up may cost.
const (
	maxLookups    = 64
	lookupsAtOnce = 8
	lookupTime    = 3 * time.Second // for one address, both ways
	lookupsTime   = 10 * time.Second
	maxNames      = 4 // of one address: a host with more is nobody's mail server
)

// namesOf looks up the names of the first addresses, and keeps those that lead back to their
// address: a reverse zone says what its owner likes. What does not answer has no name.
func namesOf(ctx context.Context, r Resolver, addrs []netip.Addr) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, lookupsTime)
	defer cancel()
	var mu sync.Mutex
	var looking sync.WaitGroup
	names := make(map[netip.Addr]string)
	slots := make(chan struct{}, lookupsAtOnce)
	for _, addr := range addrs[:min(len(addrs), maxLookups)] {
		looking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if name := confirmed(ctx, r, addr); name != "" {
				mu.Lock()
				defer mu.Unlock()
				names[addr] = name
			}
		})
	}
	looking.Wait()
	return names
}

// confirmed is the first name of an address that leads back to it.
func confirmed(ctx context.Context, r Resolver, addr netip.Addr) string {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	names, _ := r.LookupAddr(ctx, addr.String()) // with an error too, what is left is of use
	for _, name := range names[:min(len(names), maxNames)] {
		back, _ := r.LookupNetIP(ctx, "ip", name)
		if slices.ContainsFunc(back, func(b netip.Addr) bool { return b.Unmap() == addr }) {
			return name
		}
	}
	return ""
}
