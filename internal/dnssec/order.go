package dnssec

import (
	"bytes"

	"github.com/miekg/dns"
)

// covers tells whether a name lies in the gap that an NSEC record speaks of.
func covers(n *dns.NSEC, name string) bool {
	after, before := compare(n.Hdr.Name, name) < 0, compare(name, n.NextDomain) < 0
	if compare(n.Hdr.Name, n.NextDomain) < 0 {
		return after && before
	}
	return after || before // the last gap of a zone, back to its apex
}

// compare orders names as RFC 4034, Section 6.1 does.
func compare(a, b string) int {
	x, y := wire(a), wire(b)
	for len(x) > 0 && len(y) > 0 {
		if order := bytes.Compare(x[len(x)-1], y[len(y)-1]); order != 0 {
			return order
		}
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return len(x) - len(y)
}

// wire are the labels of a name in lower case, unescaped. Of what is no name there are
// none.
func wire(name string) (all [][]byte) {
	packed := make([]byte, 256)
	n, err := dns.PackDomainName(dns.CanonicalName(name), packed, 0, nil, false)
	if err != nil {
		return nil
	}
	for i := 0; i < n && packed[i] > 0; i += 1 + int(packed[i]) {
		all = append(all, packed[i+1:i+1+int(packed[i])])
	}
	return all
}
