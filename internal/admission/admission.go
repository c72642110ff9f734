// Package admission limits what clients use of a server: open connections, and the rates
// of TLS handshakes or requests and of bytes. Each limit is for one address, for the
// networks around it, and in total, so that no client can use what is meant for all. Its
// memory is bounded.
package admission

import (
	"net/netip"
	"sync"
	"time"
)

// maxNetworks bounds the addresses, networks and wide networks that are counted, each for
// itself: beyond it, those that used least are forgotten. It is more than the connections
// that a server of [Quotas] allows by default, since those are never forgotten.
const maxNetworks = 1 << 14

// A scope is what a client is counted with.
type scope int

const (
	address    scope = iota // an IPv4 address, an IPv6 /64
	network                 // an IPv4 /24, an IPv6 /48: see [Network]
	wide                    // an IPv4 /16, an IPv6 /32: what a provider gets from its registry
	everything              // all clients together
	scopes
)

// of returns the network that an address is counted with. An IPv6 address counts with its
// /64, of which a host can use every address.
func (s scope) of(addr netip.Addr) netip.Prefix {
	if s == everything {
		return netip.Prefix{}
	}
	bits := [...]int{address: 64, network: 48, wide: 32}[s]
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = [...]int{address: 32, network: 24, wide: 16}[s]
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// Host returns what a host has to itself: an IPv4 address, or the /64 of an IPv6 address, in
// which it can use every address (RFC 4291, Section 2.5.4). It is the zero Prefix for the zero
// Addr.
func Host(addr netip.Addr) netip.Prefix { return address.of(addr) }

// Network returns the network that an address is counted with: the /24 of an IPv4
// address, the /48 of an IPv6 address, without its zone. It is the zero Prefix for
// the zero Addr.
func Network(addr netip.Addr) netip.Prefix { return network.of(addr) }

// Wide returns the wide network that an address is counted with: the /16 of an IPv4
// address, the /32 of an IPv6 address, which is what a registry allocates to one provider.
// It is the zero Prefix for the zero Addr.
func Wide(addr netip.Addr) netip.Prefix { return wide.of(addr) }

// Holder returns the network that one customer of a provider can easily have: the /24 of an
// IPv4 address, the /32 of an IPv6 address. It is the zero Prefix for the zero Addr.
func Holder(addr netip.Addr) netip.Prefix {
	if addr.Unmap().Is4() {
		return Network(addr)
	}
	return Wide(addr)
}

// A Limiter counts what clients use. It is safe for concurrent use. Callers pass the
// quotas with each call, since a reload can change them.
type Limiter struct {
	mu   sync.Mutex
	used [scopes]map[netip.Prefix]*usage
}

// usage is what clients use now.
type usage struct {
	connections int
	starts      bucket
	bytes       bucket
}

// New returns a Limiter of an idle server.
func New() *Limiter {
	l := new(Limiter)
	for s := range l.used {
		l.used[s] = make(map[netip.Prefix]*usage)
	}
	return l
}

// Connect counts a new connection. If a quota does not allow it, it returns the limit that
// was reached. Otherwise it returns nil, and Disconnect must follow.
func (l *Limiter) Connect(from netip.Addr, q Quotas) *Reached {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := l.find(from, &q)
	for s, u := range used {
		if u.connections >= q.of(scope(s)).Connections {
			return reached(scope(s), from)
		}
	}
	for _, u := range used {
		u.connections++
	}
	return nil
}

// Disconnect counts the end of a connection.
func (l *Limiter) Disconnect(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range scopes {
		if u := l.used[s][s.of(from)]; u != nil {
			u.connections--
		}
	}
}

// AllowStart counts a handshake or request. If a quota does not allow it, it returns the
// limit that was reached.
func (l *Limiter) AllowStart(from netip.Addr, q Quotas) *Reached {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, used := time.Now(), l.find(from, &q)
	for s, u := range used {
		if !u.starts.has(now, q.of(scope(s)).Starts, startBurst) {
			return reached(scope(s), from)
		}
	}
	for s, u := range used {
		u.starts.use(now, q.of(scope(s)).Starts, 1)
	}
	return nil
}

// AllowBytes returns the limit that was reached if a quota does not allow more bytes.
func (l *Limiter) AllowBytes(from netip.Addr, q Quotas) *Reached {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for s, u := range l.find(from, &q) {
		if !u.bytes.has(now, q.of(scope(s)).Bytes, byteBurst) {
			return reached(scope(s), from)
		}
	}
	return nil
}

// AddBytes counts bytes that were received.
func (l *Limiter) AddBytes(from netip.Addr, q Quotas, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for s, u := range l.find(from, &q) {
		u.bytes.use(now, q.of(scope(s)).Bytes, float64(size))
	}
}

// find returns what is used by all that a client is counted with, from its address to all
// clients together.
func (l *Limiter) find(from netip.Addr, q *Quotas) (used [scopes]*usage) {
	for s := range scopes {
		prefix := s.of(from)
		u := l.used[s][prefix]
		if u == nil {
			if len(l.used[s]) >= maxNetworks {
				forget(l.used[s], q.of(s))
			}
			u = new(usage)
			l.used[s][prefix] = u
		}
		used[s] = u
	}
	return used
}

// sampled is how many networks are looked at when one has to be forgotten. All would take
// milliseconds, which a client with many networks could make each connection cost.
const sampled = 8

// forget makes room. Of some networks it drops those that are idle, or else the one that
// used least of its quota; its rates start at zero again. It keeps each network with a
// connection, whose count would be lost.
func forget(networks map[netip.Prefix]*usage, q Quota) {
	now, seen := time.Now(), 0
	var least netip.Prefix
	lowest, dropped := 0.0, false
	for prefix, u := range networks {
		if seen++; seen > sampled {
			break
		}
		if u.connections > 0 {
			continue
		}
		switch share := u.share(now, q); {
		case share == 0:
			delete(networks, prefix)
			dropped = true
		case lowest == 0 || share < lowest:
			least, lowest = prefix, share
		}
	}
	if !dropped {
		delete(networks, least)
	}
}

// share returns how much of its rates a network uses: 1 is a whole burst.
func (u *usage) share(now time.Time, q Quota) float64 {
	u.starts.drain(now, q.Starts)
	u.bytes.drain(now, q.Bytes)
	return u.starts.used/max(1, q.Starts*startBurst) + u.bytes.used/max(1, q.Bytes*byteBurst)
}

// A bucket is a leaky bucket: it holds what was used and has not drained yet.
type bucket struct {
	used float64
	at   time.Time
}

// drain lets the bucket drain until now, at a rate per second.
func (b *bucket) drain(now time.Time, rate float64) {
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*rate)
	b.at = now
}

// has reports whether the bucket has room for one more.
func (b *bucket) has(now time.Time, rate, burst float64) bool {
	b.drain(now, rate)
	return b.used+1 <= max(1, rate*burst)
}

// use adds n, even if there is not as much room: the size of a message is known
// only at its end.
func (b *bucket) use(now time.Time, rate, n float64) {
	b.drain(now, rate)
	b.used += n
}
