package probe

import (
	"context"
	"errors"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
)

var signedSources = []string{"https://www.rfc-editor.org/rfc/rfc4035#section-4.3", "https://www.rfc-editor.org/rfc/rfc7672#section-2.2"}

// signed tells how the MX records and the addresses of the hosts stand with DNSSEC. A
// sender looks for TLSA records only where both are secure (RFC 7672, Section 2.2).
func signed(e *domainExam) (found []Finding) {
	if e.mx.status == dnssec.Bogus {
		found = append(found, bogus("the MX records of "+quoted(e.Domain), "senders whose resolver validates do not find where to deliver", e.mx.why))
	}
	worst := e.mx
	for _, h := range e.Hosts {
		h.lookUp(e.ctx, e.names)
		if h.signed.status == dnssec.Bogus {
			found = append(found, bogus("the addresses of "+quoted(h.Name), "senders whose resolver validates do not find the host", h.signed.why))
		}
		if h.signed.status < worst.status {
			worst = h.signed
		}
	}
	if found != nil {
		return found
	}
	f := Finding{ID: "dnssec", Sources: signedSources, Evidence: []string{"the MX records are " + e.mx.status.String()}}
	for _, h := range e.Hosts {
		f.Evidence = append(f.Evidence, "the addresses of "+quoted(h.Name)+" are "+h.signed.status.String())
	}
	switch worst.status {
	case dnssec.Secure:
		f.Title = "The MX records and the addresses of the hosts are signed, " + e.names.by()
	case dnssec.Insecure:
		f.Severity, f.Title = Notice, "The MX records, or the addresses of a host, are not signed with DNSSEC"
		f.Evidence = append(f.Evidence, e.names.by())
		f.Advice = everyone("Nothing has to be done. DANE needs it: sign the zones of the domain and of its MX hosts.")
	default:
		return []Finding{unanswered(f.ID, "DNSSEC", worst.why)}
	}
	return []Finding{f}
}

// bogus is about what a resolver that validates does not hand out.
func bogus(what, then string, why error) Finding {
	return Finding{
		ID: "dnssec-bogus", Severity: Critical, Title: "DNSSEC is broken: " + then, Sources: signedSources,
		Evidence: []string{what + ": " + clean(why)},
		Advice:   everyone("Look whether the zone's signatures are renewed in time, and whether the DS record at the registrar is of the key that signs now."),
	}
}

// lookUp looks how the addresses of a host stand with DNSSEC.
func (h *Host) lookUp(ctx context.Context, names *resolver) {
	h.signed = &answer{status: dnssec.Secure}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := names.ask(ctx, h.Name, kind)
		if a == nil {
			a = &answer{why: err}
		}
		if a.status < h.signed.status {
			h.signed = a
		}
	}
	if h.signed.status == dnssec.Indeterminate && errors.Is(h.signed.why, ErrNotFound) {
		h.signed.status = dnssec.Insecure // of the hosts file
	}
}

// signedUpTo tells whether senders look for the TLSA records of a host.
func (e *domainExam) signedUpTo(h *Host) bool {
	return e.mx.status == dnssec.Secure && h.signed.status == dnssec.Secure
}

// chain says how all stands that leads to a host.
func (e *domainExam) chain(h *Host) string {
	return "MX records " + e.mx.status.String() + ", addresses " + h.signed.status.String()
}
