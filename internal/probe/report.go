package probe

import (
	"net/netip"
	"slices"
	"time"

	"postern/internal/persona"
)

// A Report is what became of a target.
type Report struct {
	Target string // as it was given
	Domain string // the domain whose MX hosts were examined; empty: a host was named
	Start  time.Time
	Took   time.Duration
	Hosts  []*Host

	Whole []Finding // about the domain, or its hosts together, the worst first

	mx *answer // of a domain: its MX records
}

// A Host is one that takes mail for the target.
type Host struct {
	Name       string // without a dot at its end; an address where that was given
	Preference uint16 // of its MX record
	Addresses  []*Address

	signed *answer // how its addresses stand with DNSSEC; nil until they are looked up
}

// An Address is one address of a host, and what was found out there.
type Address struct {
	Addr     netip.AddrPort
	Software Software
	Visits   []Visit   // in the order of the personas
	Findings []Finding // the worst first

	exam *exam
}

// A Visit is what became of a persona.
type Visit struct {
	Persona *persona.Persona
	*persona.Visit
	Fate Fate
}

// Why is why the client did not get in, without what could move a terminal's cursor;
// empty where nothing went wrong.
func (v *Visit) Why() string {
	if v.Err == nil {
		return ""
	}
	return clean(v.Err)
}

// A Fate is how a visit ended, seen from whether the sender gets in.
type Fate uint8

// The fates.
const (
	In      Fate = iota // it got in
	Out                 // it came to TLS and did not get in
	Refused             // it was turned away, as it should be
	Untold              // it did not come so far, or the server stopped answering
)

// String returns the fate as "in", "out", "refused" or "untold".
func (f Fate) String() string { return [...]string{"in", "out", "refused", "untold"}[min(f, Untold)] }

// Findings returns all findings of the report, the worst first.
func (r *Report) Findings() []Finding {
	all := append([]Finding(nil), r.Whole...)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			all = append(all, a.Findings...)
		}
	}
	byWeight(all)
	return all
}

// ipv4 reports whether one of the addresses is an IPv4 one.
func (r *Report) ipv4() bool {
	return slices.ContainsFunc(r.Hosts, func(h *Host) bool {
		return slices.ContainsFunc(h.Addresses, func(a *Address) bool { return a.Addr.Addr().Is4() })
	})
}

// Severity is that of the worst finding.
func (r *Report) Severity() Severity { return worst(r.Findings()) }
