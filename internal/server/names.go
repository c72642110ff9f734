package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/organization"
)

const (
	// maxNames bounds the addresses whose names are remembered.
	maxNames = 1 << 14

	// nameAge is how long a name is remembered, and unansweredAge that there was no answer.
	nameAge       = 24 * time.Hour
	unansweredAge = 10 * time.Minute

	// A lookup is at most 1 query for the names of an address and 4 for addresses of names.
	// nameLookups are made at once, and maxNamesQueued wait for their turn.
	nameTimeout    = 5 * time.Second
	nameLookups    = 4
	maxNamesQueued = 256

	// maxWaiting bounds what waits for the name of one address.
	maxWaiting = 64
)

// nameRate is how many addresses are looked up a second.
var nameRate = admission.Quotas{
	Total:      admission.Quota{Starts: 20},
	PerNetwork: admission.Quota{Starts: 2},
}

// names looks up the names of senders by forward-confirmed reverse DNS, in the background: a
// session gets the name if it is known, and never waits. What is too much is not looked up; the
// sender's next session is the next chance. Nil looks up nothing.
type names struct {
	resolver organization.Resolver
	found    func(ledger.Name)
	limiter  *admission.Limiter
	queue    chan unnamed

	mu    sync.Mutex
	known map[netip.Addr]knownName
}

// An unnamed sender waits for its name.
type unnamed struct {
	addr netip.Addr
	ehlo string
}

type knownName struct {
	name    string // empty: it has none, or is being looked up
	until   time.Time
	pending bool // it is being looked up
	waiting []func(name string)
}

func newNames(r organization.Resolver, found func(ledger.Name)) *names {
	return &names{
		resolver: r, found: found, limiter: admission.New(),
		queue: make(chan unnamed, maxNamesQueued), known: make(map[netip.Addr]knownName),
	}
}

// run looks names up until ctx ends.
func (n *names) run(ctx context.Context) {
	var lookups sync.WaitGroup
	for range nameLookups {
		lookups.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case next := <-n.queue:
					n.lookUp(ctx, next)
				}
			}
		})
	}
	lookups.Wait()
}

// of returns the name of a sender, or nothing if it has none or is not known yet.
func (n *names) of(addr netip.Addr, ehlo string) string {
	addr = addr.Unmap().WithZone("")
	if n == nil || !addr.IsGlobalUnicast() {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	known, ok := n.known[addr]
	if ok && now.Before(known.until) {
		return known.name
	}
	if n.limiter.AllowStart(addr, nameRate) != nil {
		return known.name
	}
	select {
	case n.queue <- unnamed{addr, ehlo}:
		n.remember(addr, knownName{name: known.name, until: now.Add(unansweredAge), pending: true})
	default:
	}
	return known.name
}

// whenKnown calls do with the name of a sender, or with nothing if it has none: at once, or when
// its first lookup has ended, if that is under way.
func (n *names) whenKnown(addr netip.Addr, do func(name string)) {
	if n == nil {
		do("")
		return
	}
	addr = addr.Unmap().WithZone("")
	n.mu.Lock()
	known := n.known[addr]
	wait := known.pending && known.name == "" && len(known.waiting) < maxWaiting
	if wait {
		known.waiting = append(known.waiting, do)
		n.known[addr] = known
	}
	n.mu.Unlock()
	if !wait {
		do(known.name)
	}
}

func (n *names) lookUp(ctx context.Context, next unnamed) {
	asked, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	name, err := organization.ConfirmedName(asked, n.resolver, next.addr)
	missing := new(net.DNSError)
	answered := err == nil || errors.As(err, &missing) && missing.IsNotFound
	if name = strings.ToLower(strings.TrimSuffix(name, ".")); organization.Generic(name, next.addr) {
		name = ""
	}
	n.mu.Lock()
	known := n.known[next.addr]
	if answered { // else of asks again after unansweredAge
		known.name, known.until = name, time.Now().Add(nameAge)
	}
	waiting := known.waiting
	known.pending, known.waiting = false, nil
	n.known[next.addr] = known
	n.mu.Unlock()
	for _, do := range waiting {
		do(known.name)
	}
	if name != "" {
		n.found(ledger.Name{Network: admission.Network(next.addr), EHLO: next.ehlo, Name: name})
	}
}

// remember remembers an address. When there are too many, any other goes that is not being looked
// up: it can be looked up again. The caller holds mu.
func (n *names) remember(addr netip.Addr, as knownName) {
	if _, known := n.known[addr]; !known && len(n.known) >= maxNames {
		for other, k := range n.known {
			if !k.pending {
				delete(n.known, other)
				break
			}
		}
	}
	n.known[addr] = as
}
