// Package admission limits what clients use of a server, for each network that they
// connect from and in total: open connections, and the rates of TLS handshakes or
// requests and of bytes. Its memory is bounded.
package admission

import (
	"net/netip"
	"sync"
	"time"
)

// maxNetworks bounds the networks that are counted: when it is reached, idle ones are
// dropped.
const maxNetworks = 1 << 16

// Quotas are the limits of a server.
type Quotas struct {
	Total      Quota // of all clients together
	PerNetwork Quota // of one [Network]
}

// A Quota is what clients may use.
type Quota struct {
	Connections int     // open at once
	Starts      float64 // TLS handshakes or requests per second, with bursts of ten seconds' worth
	Bytes       float64 // sent by clients per second, with bursts of ten minutes' worth
}

// Bursts, in seconds of the rate.
const (
	startBurst = 10
	byteBurst  = 600
)

// Network returns the network that an address is counted with: the /24 of an IPv4
// address, the /48 of an IPv6 address, without its zone. It is the zero Prefix for
// the zero Addr.
func Network(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// A Limiter counts what clients use. It is safe for concurrent use. Callers pass the
// quotas with each call, since a reload can change them.
type Limiter struct {
	mu       sync.Mutex
	total    *usage
	networks map[netip.Prefix]*usage
}

// usage is what clients use now.
type usage struct {
	connections int
	starts      bucket
	bytes       bucket
}

// New returns a Limiter of an idle server.
func New() *Limiter {
	return &Limiter{total: new(usage), networks: make(map[netip.Prefix]*usage)}
}

// Connect counts a new connection and reports whether the quotas allow it. If so,
// Disconnect must follow.
func (l *Limiter) Connect(from netip.Prefix, q Quotas) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.network(from, q)
	if l.total.connections >= q.Total.Connections || u.connections >= q.PerNetwork.Connections {
		return false
	}
	l.total.connections++
	u.connections++
	return true
}

// Disconnect counts the end of a connection.
func (l *Limiter) Disconnect(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.connections--
	if u := l.networks[from]; u != nil {
		u.connections--
	}
}

// AllowStart counts a handshake or request and reports whether the quotas allow it.
func (l *Limiter) AllowStart(from netip.Prefix, q Quotas) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, u := time.Now(), l.network(from, q)
	if !l.total.starts.has(now, q.Total.Starts, startBurst) ||
		!u.starts.has(now, q.PerNetwork.Starts, startBurst) {
		return false
	}
	l.total.starts.use(now, q.Total.Starts, 1)
	u.starts.use(now, q.PerNetwork.Starts, 1)
	return true
}

// AllowBytes reports whether the quotas allow more bytes.
func (l *Limiter) AllowBytes(from netip.Prefix, q Quotas) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, u := time.Now(), l.network(from, q)
	return l.total.bytes.has(now, q.Total.Bytes, byteBurst) &&
		u.bytes.has(now, q.PerNetwork.Bytes, byteBurst)
}

// AddBytes counts bytes that were received.
func (l *Limiter) AddBytes(from netip.Prefix, q Quotas, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, u := time.Now(), l.network(from, q)
	l.total.bytes.use(now, q.Total.Bytes, float64(size))
	u.bytes.use(now, q.PerNetwork.Bytes, float64(size))
}

func (l *Limiter) network(from netip.Prefix, q Quotas) *usage {
	u := l.networks[from]
	if u == nil {
		if len(l.networks) >= maxNetworks {
			l.evict(q.PerNetwork)
		}
		u = new(usage)
		l.networks[from] = u
	}
	return u
}

// evict drops idle networks, and if that is not enough, others without a connection,
// whose rates start at zero again.
func (l *Limiter) evict(q Quota) {
	now := time.Now()
	for prefix, u := range l.networks {
		u.starts.drain(now, q.Starts)
		u.bytes.drain(now, q.Bytes)
		if u.connections == 0 && u.starts.used == 0 && u.bytes.used == 0 {
			delete(l.networks, prefix)
		}
	}
	for prefix, u := range l.networks {
		if len(l.networks) < maxNetworks*3/4 {
			return
		}
		if u.connections == 0 {
			delete(l.networks, prefix)
		}
	}
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
