package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// maxNetworks bounds the memory of the admission: past it, networks that are
// at rest are forgotten.
const maxNetworks = 1 << 16

// admission shares the server's means between the networks that senders come
// from.
type admission struct {
	mu       sync.Mutex
	total    *usage
	networks map[netip.Prefix]*usage
}

// usage is what is in use now.
type usage struct {
	connections int
	handshakes  bucket
	bytes       bucket
}

func newAdmission() *admission {
	return &admission{total: new(usage), networks: make(map[netip.Prefix]*usage)}
}

// Bursts, in seconds of the rate.
const (
	handshakeBurst = 10
	byteBurst      = 600
)

// A bucket holds what was used and not yet given back by time.
type bucket struct {
	used float64
	at   time.Time
}

// settle gives back what time has given back, at a rate a second.
func (b *bucket) settle(now time.Time, rate float64) {
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*rate)
	b.at = now
}

// has reports whether one more may be used.
func (b *bucket) has(now time.Time, rate, burst float64) bool {
	b.settle(now, rate)
	return b.used+1 <= max(1, rate*burst)
}

// use takes n, even where the bucket has not as much left: a message's size is
// known only when it is over.
func (b *bucket) use(now time.Time, rate, n float64) {
	b.settle(now, rate)
	b.used += n
}

// enter counts a connection in, unless there are too many.
func (a *admission) enter(from netip.Prefix, limits *Limits) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.network(from, limits)
	if a.total.connections >= limits.Total.Connections || u.connections >= limits.PerNetwork.Connections {
		return false
	}
	a.total.connections++
	u.connections++
	return true
}

// leave counts a connection out.
func (a *admission) leave(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total.connections--
	if u := a.networks[from]; u != nil {
		u.connections--
	}
}

// handshake counts a TLS handshake, unless there are too many.
func (a *admission) handshake(from netip.Prefix, limits *Limits) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, u := time.Now(), a.network(from, limits)
	if !a.total.handshakes.has(now, limits.Total.Handshakes, handshakeBurst) ||
		!u.handshakes.has(now, limits.PerNetwork.Handshakes, handshakeBurst) {
		return false
	}
	a.total.handshakes.use(now, limits.Total.Handshakes, 1)
	u.handshakes.use(now, limits.PerNetwork.Handshakes, 1)
	return true
}

// message reports whether another message may come.
func (a *admission) message(from netip.Prefix, limits *Limits) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, u := time.Now(), a.network(from, limits)
	return a.total.bytes.has(now, limits.Total.Bytes, byteBurst) &&
		u.bytes.has(now, limits.PerNetwork.Bytes, byteBurst)
}

// received counts a message's bytes.
func (a *admission) received(from netip.Prefix, limits *Limits, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, u := time.Now(), a.network(from, limits)
	a.total.bytes.use(now, limits.Total.Bytes, float64(size))
	u.bytes.use(now, limits.PerNetwork.Bytes, float64(size))
}

func (a *admission) network(from netip.Prefix, limits *Limits) *usage {
	u := a.networks[from]
	if u == nil {
		if len(a.networks) >= maxNetworks {
			a.forget(limits)
		}
		u = new(usage)
		a.networks[from] = u
	}
	return u
}

// forget drops the networks that are at rest, and if that is not enough, any
// without a connection: their rates begin anew then.
func (a *admission) forget(limits *Limits) {
	now := time.Now()
	for prefix, u := range a.networks {
		u.handshakes.settle(now, limits.PerNetwork.Handshakes)
		u.bytes.settle(now, limits.PerNetwork.Bytes)
		if u.connections == 0 && u.handshakes.used == 0 && u.bytes.used == 0 {
			delete(a.networks, prefix)
		}
	}
	for prefix, u := range a.networks {
		if len(a.networks) < maxNetworks*3/4 {
			return
		}
		if u.connections == 0 {
			delete(a.networks, prefix)
		}
	}
}
