package admission

import (
	"fmt"
	"net/netip"
)

// Quotas are the limits of a server. The limits of an address and of a wide network follow
// from them: an address, of IPv6 a /64, gets a quarter of what its network may use; a wide
// network, an IPv4 /16 or an IPv6 /32, a quarter of the total, but no less than one network.
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

// of returns the quota of an address, of a network, or of all.
func (q *Quotas) of(s scope) Quota {
	switch s {
	case address:
		return q.PerNetwork.quarter()
	case network:
		return q.PerNetwork
	case wide:
		w := q.Total.quarter()
		return Quota{
			Connections: max(w.Connections, q.PerNetwork.Connections),
			Starts:      max(w.Starts, q.PerNetwork.Starts),
			Bytes:       max(w.Bytes, q.PerNetwork.Bytes),
		}
	}
	return q.Total
}

// quarter returns a quarter of q, and at least one connection if it has any.
func (q Quota) quarter() Quota {
	return Quota{Connections: (q.Connections + 3) / 4, Starts: q.Starts / 4, Bytes: q.Bytes / 4}
}

// Reached is a limit that a client has reached.
type Reached struct {
	Network netip.Prefix // the zero Prefix: all clients together have reached it
}

func reached(s scope, by netip.Addr) *Reached { return &Reached{s.of(by)} }

// Total reports whether all clients together have reached the limit, and not the client's
// own network.
func (r *Reached) Total() bool { return !r.Network.IsValid() }

// String returns the network, or "total", as in the log.
func (r *Reached) String() string {
	switch {
	case r.Total():
		return "total"
	case r.Network.IsSingleIP():
		return r.Network.Addr().String()
	}
	return r.Network.String()
}

// From names the client in an answer to it: "your network 192.0.2.0/24". It is not for a
// total.
func (r *Reached) From() string {
	if r.Network.IsSingleIP() {
		return fmt.Sprintf("your address %s", r)
	}
	return fmt.Sprintf("your network %s", r)
}
