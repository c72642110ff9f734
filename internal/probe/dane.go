package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
)

var daneSources = []string{"https://www.rfc-editor.org/rfc/rfc7672"}

// The certificate usages that count in SMTP (RFC 7672, Section 3.1).
const (
	trustAnchor = 2 // DANE-TA
	endEntity   = 3 // DANE-EE
)

// dane holds the TLSA records of each host against the certificates that it served.
func dane(e *domainExam) (found []Finding) {
	for _, h := range e.Hosts {
		if len(h.Addresses) == 0 {
			continue
		}
		name := fmt.Sprintf("_%d._tcp.%s", h.Addresses[0].Addr.Port(), h.Name)
		answer, err := e.names.ask(e.ctx, name, dns.TypeTLSA)
		switch {
		case answer != nil && answer.status == dnssec.Bogus && e.signedUpTo(h):
			found = append(found, bogus(quoted(name), "senders that check DANE do not deliver there", answer.why))
		case errors.Is(err, ErrNotFound):
		case err != nil:
			found = append(found, unanswered("dane", "TLSA records", err))
		default:
			found = append(found, e.holdTLSA(h, name, answer)...)
		}
	}
	if found == nil {
		found = append(found, Finding{
			ID: "dane", Severity: Notice, Title: "No MX host has TLSA records", Sources: daneSources,
			Evidence: []string{"DANE is for domains that are signed with DNSSEC"},
			Advice:   everyone("Nothing has to be done. Where the zone is signed, a TLSA record 3 1 1 protects from senders that are led astray."),
		})
	}
	return found
}

// holdTLSA holds the records of a host against what its addresses served.
func (e *domainExam) holdTLSA(h *Host, name string, answer *answer) []Finding {
	records := usable(answer.Msg)
	switch {
	case len(records) == 0 && len(answer.Answer) == 0:
		return nil
	case answer.status != dnssec.Secure || !e.signedUpTo(h):
		return []Finding{{
			ID: "dane-unsigned", Severity: Notice, Title: "TLSA records that are not validated by DNSSEC do nothing", Sources: daneSources,
			Evidence: []string{quoted(name), e.chain(h) + ", TLSA records " + answer.status.String() + ", " + e.names.by()},
			Advice:   everyone("Sign the zones of the domain and of its MX hosts, or let this program validate by itself: --dnssec validate."),
		}}
	case len(records) == 0:
		return []Finding{{
			ID: "dane-unusable", Severity: Warning, Title: "No TLSA record has a usage that counts in SMTP", Sources: daneSources,
			Evidence: []string{quoted(name), "RFC 7672, Section 3.1 knows 2 and 3 only"},
			Advice:   everyone("Publish 3 1 1 with the hash of the certificate's public key."),
		}}
	}
	return e.match(h, name, records)
}

func usable(answer *dns.Msg) (records []*dns.TLSA) {
	for _, record := range answer.Answer {
		if tlsa, ok := record.(*dns.TLSA); ok && (tlsa.Usage == trustAnchor || tlsa.Usage == endEntity) {
			records = append(records, tlsa)
		}
	}
	return records
}

// usages says what the records are of, "3 1 1, 2 0 1".
func usages(records []*dns.TLSA) string {
	said := make([]string, 0, len(records))
	for _, r := range records[:min(len(records), maxAddresses)] {
		said = append(said, fmt.Sprintf("%d %d %d", r.Usage, r.Selector, r.MatchingType))
	}
	return strings.Join(said, ", ")
}

func (e *domainExam) match(h *Host, name string, records []*dns.TLSA) (found []Finding) {
	seen := "TLSA records " + usages(records) + ", " + e.names.by()
	for _, a := range h.Addresses {
		first := a.exam.first
		if first.TLS == nil || len(first.TLS.PeerCertificates) == 0 {
			continue // told of elsewhere
		}
		if !fits(records, first.TLS.PeerCertificates, h.Name, e.now) {
			found = append(found, Finding{
				ID: "dane-mismatch", Severity: Critical, Sources: daneSources, Transcript: first.Transcript,
				Title:    "The certificate fits no TLSA record: senders that check DANE do not deliver",
				Evidence: []string{quoted(name) + " at " + a.Addr.String(), seen, "served: " + about(first.TLS.PeerCertificates[0])},
				Advice: everyone("Publish the record of the certificate that is served, beside the old one, and keep both until the old one's TTL is over; " +
					"a record 3 1 1 stays right when renewals keep the key. One with usage 2 needs its authority's certificate in the chain that is served."),
			})
		}
	}
	if found == nil {
		return []Finding{fine("dane", "The certificate fits the TLSA records", quoted(name), seen)}
	}
	return found
}

// fits tells whether one record fits the chain (RFC 7672, Section 3.1): of DANE-EE the
// key or certificate alone, of DANE-TA a certificate of the chain that leads to the
// host's name.
func fits(records []*dns.TLSA, chain []*x509.Certificate, host string, now time.Time) bool {
	for _, record := range records {
		if record.Usage == endEntity && record.Verify(chain[0]) == nil {
			return true
		}
		for _, c := range chain[1:] {
			if record.Usage != trustAnchor || record.Verify(c) != nil {
				continue
			}
			anchor := x509.NewCertPool()
			anchor.AddCert(c)
			if verify(chain, host, anchor, now) == nil {
				return true
			}
		}
	}
	return false
}

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
