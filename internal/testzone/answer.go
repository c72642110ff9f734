package testzone

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// answer adds the records of a name and type to a message, or the proof that there are
// none. It returns the target of a CNAME record.
func (z *Zone) answer(m *dns.Msg, name string, kind uint16) (alias string) {
	owner := name
	if wildcard := z.wildcard(name); !z.exists(name) && z.exists(wildcard) {
		owner = wildcard
		defer z.proveAbsence(m, name)
	}
	for _, kind := range []uint16{kind, dns.TypeCNAME} {
		records := z.rrset(owner, kind)
		if len(records) == 0 {
			continue
		}
		z.add(&m.Answer, records, name)
		if target, ok := records[0].(*dns.CNAME); ok {
			return target.Target
		}
		return ""
	}
	if !z.exists(owner) {
		m.Rcode = dns.RcodeNameError
	}
	z.add(&m.Ns, z.rrset(z.Name, dns.TypeSOA), z.Name)
	z.proveAbsence(m, name)
	return ""
}

// wildcard returns the wildcard below the closest ancestor of a name that exists (RFC 4592,
// Section 3.3.1).
func (z *Zone) wildcard(name string) string {
	_, above, _ := strings.Cut(name, ".")
	for above != "" && above != z.Name && !z.exists(above) {
		_, above, _ = strings.Cut(above, ".")
	}
	return "*." + above
}

// add adds an RRset under a name, with its signature if the zone is signed.
func (z *Zone) add(section *[]dns.RR, records []dns.RR, name string) {
	for _, record := range records {
		copied := dns.Copy(record)
		copied.Header().Name = name
		*section = append(*section, copied)
	}
	if z.Signed {
		*section = append(*section, z.sign(records, name))
	}
}

func (z *Zone) rrset(name string, kind uint16) (records []dns.RR) {
	for _, record := range z.rrs {
		if record.Header().Name == name && record.Header().Rrtype == kind {
			records = append(records, record)
		}
	}
	return records
}

// exists reports whether a name exists, at least as an empty non-terminal.
func (z *Zone) exists(name string) bool {
	return slices.ContainsFunc(z.rrs, func(record dns.RR) bool { return dns.IsSubDomain(name, record.Header().Name) })
}

// typesAt returns the record types at a name, in order. An empty non-terminal has none.
func (z *Zone) typesAt(name string) []uint16 {
	kinds := make(map[uint16]bool)
	for _, record := range z.rrs {
		if record.Header().Name == name {
			kinds[record.Header().Rrtype] = true
		}
	}
	delegated := kinds[dns.TypeNS] && !kinds[dns.TypeSOA]
	if len(kinds) > 0 && (!delegated || kinds[dns.TypeDS]) {
		kinds[dns.TypeRRSIG] = true
	}
	if len(kinds) > 0 && !z.NSEC3 {
		kinds[dns.TypeNSEC], kinds[dns.TypeRRSIG] = true, true
	}
	return slices.Sorted(maps.Keys(kinds))
}

// proveAbsence adds all records that may be needed to prove that a name or type does not
// exist: those that cover the name, its ancestors, and the wildcards below them.
func (z *Zone) proveAbsence(m *dns.Msg, name string) {
	if !z.Signed {
		return
	}
	added := make(map[string]bool)
	for labels := dns.CountLabel(z.Name); labels <= dns.CountLabel(name); labels++ {
		ancestor := lastLabels(name, labels)
		for _, covered := range []string{ancestor, "*." + strings.TrimPrefix(ancestor, ".")} {
			record := z.denial(covered)
			if owner := record.Header().Name; !added[owner] {
				added[owner] = true
				z.add(&m.Ns, []dns.RR{record}, owner)
			}
		}
	}
}

// lastLabels returns the last labels of a name.
func lastLabels(name string, labels int) string {
	if labels == 0 {
		return "."
	}
	starts := dns.Split(name)
	return name[starts[len(starts)-labels]:]
}
