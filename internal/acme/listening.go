package acme

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/caddyserver/certmagic"
)

// listenAt says where challenges are answered. certmagic would listen there itself,
// and does without when it finds the address taken.
func listenAt(issuer *certmagic.ACMEIssuer, http, https string) {
	issuer.AltHTTPPort, issuer.AltTLSALPNPort = port(http), port(https)
	issuer.DisableHTTPChallenge = issuer.AltHTTPPort == 0
	issuer.DisableTLSALPNChallenge = issuer.AltTLSALPNPort == 0
	for _, address := range []string{http, https} {
		if at, err := netip.ParseAddrPort(address); err == nil && !at.Addr().IsUnspecified() {
			issuer.ListenHost = at.Addr().String()
		}
	}
}

// port gives 0 where there is none.
func port(address string) int {
	_, text, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(text)
	return n
}
