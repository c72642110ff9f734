// Package admission shares a server's means between the networks that its clients
// come from, so that none takes all of them. Its memory is bounded.
package admission

import (
	"net/netip"
	"sync"
	"time"
)

// maxNetworks bounds the memory of the admission: past it, networks that are
// at rest are forgotten.
const maxNetworks = 1 << 16

// A Control counts what clients use. It is safe for concurrent use.
type Control struct {
	mu       sync.Mutex
	total    *usage
	networks map[netip.Prefix]*usage
}

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

// usage is what is in use now.
type usage struct {
	connections int
	starts      bucket
	bytes       bucket
}

// New makes a control of a server that nobody uses yet.
func New() *Control {
	return &Control{total: new(usage), networks: make(map[netip.Prefix]*usage)}
}

// Bursts, in seconds of the rate.
const (
	startBurst = 10
	byteBurst  = 600
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

// Enter counts a connection in, unless there are too many.
func (c *Control) Enter(from netip.Prefix, shares Shares) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.network(from, shares)
	if c.total.connections >= shares.Total.Connections || u.connections >= shares.PerNetwork.Connections {
		return false
	}
	c.total.connections++
	u.connections++
	return true
}

// Leave counts a connection out.
func (c *Control) Leave(from netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total.connections--
	if u := c.networks[from]; u != nil {
		u.connections--
	}
}

// Start counts the start of something, unless there are too many.
func (c *Control) Start(from netip.Prefix, shares Shares) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, u := time.Now(), c.network(from, shares)
	if !c.total.starts.has(now, shares.Total.Starts, startBurst) ||
		!u.starts.has(now, shares.PerNetwork.Starts, startBurst) {
		return false
	}
	c.total.starts.use(now, shares.Total.Starts, 1)
	u.starts.use(now, shares.PerNetwork.Starts, 1)
	return true
}

// Room reports whether more bytes may come.
func (c *Control) Room(from netip.Prefix, shares Shares) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, u := time.Now(), c.network(from, shares)
	return c.total.bytes.has(now, shares.Total.Bytes, byteBurst) &&
		u.bytes.has(now, shares.PerNetwork.Bytes, byteBurst)
}

// Use counts bytes that came.
func (c *Control) Use(from netip.Prefix, shares Shares, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, u := time.Now(), c.network(from, shares)
	c.total.bytes.use(now, shares.Total.Bytes, float64(size))
	u.bytes.use(now, shares.PerNetwork.Bytes, float64(size))
}

func (c *Control) network(from netip.Prefix, shares Shares) *usage {
	u := c.networks[from]
	if u == nil {
		if len(c.networks) >= maxNetworks {
			c.forget(shares.PerNetwork)
		}
		u = new(usage)
		c.networks[from] = u
	}
	return u
}

// forget drops the networks that are at rest, and if that is not enough, any
// without a connection: their rates begin anew then.
func (c *Control) forget(share Share) {
	now := time.Now()
	for prefix, u := range c.networks {
		u.starts.settle(now, share.Starts)
		u.bytes.settle(now, share.Bytes)
		if u.connections == 0 && u.starts.used == 0 && u.bytes.used == 0 {
			delete(c.networks, prefix)
		}
	}
	for prefix, u := range c.networks {
		if len(c.networks) < maxNetworks*3/4 {
			return
		}
		if u.connections == 0 {
			delete(c.networks, prefix)
		}
	}
}

// Shares are how a server's means are shared out.
type Shares struct {
	Total      Share // what all clients may have at once
	PerNetwork Share // what the clients of one IPv4 /24 or IPv6 /48 may have
}

// A Share is a part of the server's means.
type Share struct {
	Connections int     // open at once
	Starts      float64 // TLS handshakes, or requests, a second; ten seconds' worth may come at once
	Bytes       float64 // of what clients send, a second; ten minutes' worth may come at once
}
