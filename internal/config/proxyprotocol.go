package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// ProxyProtocol configures the listeners for load balancers, which name the client in a PROXY
// protocol header.
type ProxyProtocol struct {
	Trust     []netip.Prefix // the balancers
	Listen    []string       // addresses for SMTP with STARTTLS
	ListenTLS []string       // addresses for SMTP in TLS
}

// mailAddresses are all addresses to listen on for mail.
func (c *Config) mailAddresses() []string {
	return slices.Concat(c.Listen, c.ListenTLS, c.ProxyProtocol.Listen, c.ProxyProtocol.ListenTLS)
}

// checkProxyProtocol checks that it is said who the balancers are: they choose what address a
// sender has.
func (l *loading) checkProxyProtocol() {
	const trust = "proxy-protocol.trust"
	p := l.config.ProxyProtocol
	if p.Trust == nil && l.places.given(trust) {
		return // it is not valid, which has been reported
	}
	switch listens := len(p.Listen)+len(p.ListenTLS) > 0; {
	case listens && len(p.Trust) == 0:
		l.add(trust, "is empty, so every connection would be refused", "list the addresses from which the balancers connect, such as 192.0.2.10")
	case !listens && len(p.Trust) > 0:
		l.add(trust, "has no effect without an address to listen on", "list the addresses that the balancers connect to in listen below [proxy-protocol]")
	}
	for i, network := range p.Trust {
		if network.Bits() == 0 {
			l.add(element(trust, i), fmt.Sprintf("%s is everybody, who could then have any address", network), "list the addresses from which the balancers connect, such as 192.0.2.10")
		}
	}
}
