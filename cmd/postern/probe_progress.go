package main

import (
	"fmt"
	"net/netip"
	"sync"
)

// probeProgress tells how many visits are over, of all addresses that have been begun.
type probeProgress struct {
	told *progress

	mu        sync.Mutex
	addresses map[netip.AddrPort]struct{ over, all int }
}

// visited is for [probe.Prober.Visited].
func (p *probeProgress) visited(addr netip.AddrPort, over, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.addresses[addr]; over > known.over { // they may come in any order
		p.addresses[addr] = struct{ over, all int }{over, all}
	}
	over, all = 0, 0
	for _, a := range p.addresses {
		over, all = over+a.over, all+a.all
	}
	where := addr.String()
	if n := len(p.addresses); n > 1 {
		where = fmt.Sprintf("%d addresses", n)
	}
	p.told.Say(fmt.Sprintf("postern: probing %s, %d of %d visits are over", where, over, all))
}
