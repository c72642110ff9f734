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

// XClient configures the listeners for front-ends that speak SMTP, and name the client by XCLIENT.
type XClient struct {
	Trust  []netip.Prefix // the front-ends
	Listen []string       // addresses for SMTP with STARTTLS
}

// mailAddresses are all addresses to listen on for mail.
func (c *Config) mailAddresses() []string {
	return slices.Concat(c.Listen, c.ListenTLS, c.ProxyProtocol.Listen, c.ProxyProtocol.ListenTLS, c.XClient.Listen)
}

// checkFrontEnds checks that it is said who the front-ends are.
func (l *loading) checkFrontEnds() {
	p, x := l.config.ProxyProtocol, l.config.XClient
	l.checkTrust("proxy-protocol", "balancers", p.Trust, len(p.Listen)+len(p.ListenTLS) > 0)
	l.checkTrust("xclient", "front-ends", x.Trust, len(x.Listen) > 0)
}

// checkTrust checks which networks a table trusts: they choose what address a sender has.
func (l *loading) checkTrust(table, who string, trust []netip.Prefix, listens bool) {
	key := table + ".trust"
	if trust == nil && l.places.given(key) {
		return // it is not valid, which has been reported
	}
	from := fmt.Sprintf("list the addresses from which the %s connect, such as 192.0.2.10", who)
	switch {
	case listens && len(trust) == 0:
		l.add(key, "is empty, so every connection would be refused", from)
	case !listens && len(trust) > 0:
		l.add(key, "has no effect without an address to listen on", fmt.Sprintf("list the addresses that the %s connect to in listen below [%s]", who, table))
	}
	for i, network := range trust {
		if network.Bits() == 0 {
			l.add(element(key, i), fmt.Sprintf("%s is everybody, who could then have any address", network), from)
		}
	}
}
