package acme

import "net/netip"

// Addresses are where the web listener is. One without a port stands for none of the
// kind.
type Addresses struct {
	HTTP, HTTPS netip.AddrPort
}

// listenAt says where challenges are answered. certmagic would listen there itself,
// and does without when it finds the address taken.
func (r *Renewer) listenAt(a Addresses) {
	r.issuer.DisableHTTPChallenge = a.HTTP.Port() == 0
	r.issuer.DisableTLSALPNChallenge = a.HTTPS.Port() == 0
	r.issuer.AltHTTPPort = int(a.HTTP.Port())
	r.issuer.AltTLSALPNPort = int(a.HTTPS.Port())
	for _, at := range []netip.AddrPort{a.HTTP, a.HTTPS} {
		if at.IsValid() && !at.Addr().IsUnspecified() {
			r.issuer.ListenHost = at.Addr().String()
		}
	}
}
