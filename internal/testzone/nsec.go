package testzone

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// ownerNames returns the names that have an NSEC or NSEC3 record, in canonical order
// (RFC 4034, Section 6.1). With NSEC3 they include empty non-terminals (RFC 5155,
// Section 7.1), and with opt-out they do not include unsigned delegations.
func (z *Zone) ownerNames() (all []string) {
	for _, record := range z.rrs {
		name := record.Header().Name
		for labels := dns.CountLabel(z.Name); labels <= dns.CountLabel(name); labels++ {
			ancestor := lastLabels(name, labels)
			if z.OptOut && z.isUnsignedDelegation(ancestor) || !z.NSEC3 && len(z.typesAt(ancestor)) == 0 {
				continue
			}
			all = append(all, ancestor)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(canonicalKey(a), canonicalKey(b)) })
	return slices.Compact(all)
}

// isUnsignedDelegation reports whether a name is a delegation without a DS record.
func (z *Zone) isUnsignedDelegation(name string) bool {
	types := z.typesAt(name)
	return name != z.Name && slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeDS)
}

// canonicalKey returns a key that sorts names by their labels from the right.
func canonicalKey(name string) string {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	return strings.Join(labels, "\x00")
}

// denial returns the NSEC or NSEC3 record that matches or covers a name.
func (z *Zone) denial(name string) dns.RR {
	if z.NSEC3 {
		return z.hashedDenial(name)
	}
	names := z.ownerNames()
	at := len(names) - 1
	for at > 0 && canonicalKey(names[at]) > canonicalKey(name) {
		at--
	}
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: names[at], Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 60},
		NextDomain: names[(at+1)%len(names)], TypeBitMap: z.typesAt(names[at]),
	}
}

// hashedDenial returns the NSEC3 record that matches or covers a name (RFC 5155).
func (z *Zone) hashedDenial(name string) dns.RR {
	const salt = "AB"
	iterations := max(z.Iterations, 1)
	hash := func(name string) string { return dns.HashName(name, dns.SHA1, iterations, salt) }
	wanted := hash(name)
	of := make(map[string]string)
	var hashes []string
	for _, name := range z.ownerNames() {
		of[hash(name)] = name
		hashes = append(hashes, hash(name))
	}
	slices.Sort(hashes)
	at := len(hashes) - 1 // the last record also covers the names before the first
	for i, hashed := range hashes {
		if hashed <= wanted {
			at = i
		}
	}
	flags := uint8(0)
	if z.OptOut {
		flags = 1
	}
	return &dns.NSEC3{
		Hdr:  dns.RR_Header{Name: strings.ToLower(hashes[at]) + "." + strings.TrimPrefix(z.Name, "."), Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 60},
		Hash: dns.SHA1, Flags: flags, Iterations: iterations, SaltLength: 1, Salt: salt,
		HashLength: 20, NextDomain: hashes[(at+1)%len(hashes)], TypeBitMap: z.typesAt(of[hashes[at]]),
	}
}
