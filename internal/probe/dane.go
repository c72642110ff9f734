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

var dnssecSources = []string{"https://www.rfc-editor.org/rfc/rfc4035#section-4.3", "https://www.rfc-editor.org/rfc/rfc7672#section-2.2"}

// checkDNSSEC reports the DNSSEC status of the MX records and of the addresses of the hosts. A
// sender looks up TLSA records only if both are secure (RFC 7672, Section 2.2).
func checkDNSSEC(d *domainProbe) (found []Finding) {
	if d.mx.status == dnssec.Bogus {
		found = append(found, bogus("the MX records of "+quoted(d.Domain), "senders with a validating resolver do not find the MX hosts", d.mx.why))
	}
	worst := d.mx
	for _, h := range d.Hosts {
		h.lookUpDNSSEC(d.ctx, d.names)
		if h.dnssec.status == dnssec.Bogus {
			found = append(found, bogus("the addresses of "+quoted(h.Name), "senders with a validating resolver do not find the host", h.dnssec.why))
		}
		if h.dnssec.status < worst.status {
			worst = h.dnssec
		}
	}
	if found != nil {
		return found
	}
	f := Finding{ID: "dnssec", Sources: dnssecSources, Evidence: []string{"the MX records are " + d.mx.status.String()}}
	for _, h := range d.Hosts {
		f.Evidence = append(f.Evidence, "the addresses of "+quoted(h.Name)+" are "+h.dnssec.status.String())
	}
	switch worst.status {
	case dnssec.Secure:
		f.Title = "The MX records and the addresses of the hosts are signed, " + d.names.validatedBy()
	case dnssec.Insecure:
		f.Severity, f.Title = Notice, "The MX records or the addresses of a host are not signed with DNSSEC"
		f.Evidence = append(f.Evidence, d.names.validatedBy())
		f.Advice = forAll("Nothing to do. DANE requires it: to use DANE, sign the zones of the domain and of its MX hosts.")
	default:
		return []Finding{lookupFailed(f.ID, "The DNSSEC status", worst.why)}
	}
	return []Finding{f}
}

// bogus is the finding about an answer that a validating resolver does not return.
func bogus(what, effect string, why error) Finding {
	return Finding{
		ID: "dnssec-bogus", Severity: Critical, Title: "DNSSEC validation fails: " + effect, Sources: dnssecSources,
		Evidence: []string{what + ": " + errorText(why)},
		Advice:   forAll("Check that the zone's signatures are renewed in time, and that the DS record at the registrar belongs to the current key."),
	}
}

// lookUpDNSSEC sets the DNSSEC status of the addresses of a host.
func (h *Host) lookUpDNSSEC(ctx context.Context, names *resolver) {
	h.dnssec = &answer{status: dnssec.Secure}
	for _, recordType := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := names.query(ctx, h.Name, recordType)
		if a == nil {
			a = &answer{why: err}
		}
		if a.status < h.dnssec.status {
			h.dnssec = a
		}
	}
	if h.dnssec.status == dnssec.Indeterminate && errors.Is(h.dnssec.why, ErrNotFound) {
		h.dnssec.status = dnssec.Insecure // from the hosts file
	}
}

// isSecure reports whether the MX records and the addresses of a host are secure, so that
// senders look up its TLSA records.
func (d *domainProbe) isSecure(h *Host) bool {
	return d.mx.status == dnssec.Secure && h.dnssec.status == dnssec.Secure
}

var daneSources = []string{"https://www.rfc-editor.org/rfc/rfc7672"}

// The certificate usages that SMTP supports (RFC 7672, Section 3.1).
const (
	usageTrustAnchor = 2 // DANE-TA
	usageEndEntity   = 3 // DANE-EE
)

// checkDANE checks the TLSA records of each host against the certificates that it presented.
func checkDANE(d *domainProbe) (found []Finding) {
	for _, h := range d.Hosts {
		if len(h.Addresses) == 0 {
			continue
		}
		name := fmt.Sprintf("_%d._tcp.%s", h.Addresses[0].Addr.Port(), h.Name)
		answer, err := d.names.query(d.ctx, name, dns.TypeTLSA)
		switch {
		case answer != nil && answer.status == dnssec.Bogus && d.isSecure(h):
			found = append(found, bogus(quoted(name), "senders that check DANE do not deliver there", answer.why))
		case errors.Is(err, ErrNotFound):
		case err != nil:
			found = append(found, lookupFailed("dane", "TLSA records", err))
		default:
			found = append(found, d.checkTLSA(h, name, answer)...)
		}
	}
	if found == nil {
		found = append(found, Finding{
			ID: "dane", Severity: Notice, Title: "No MX host has TLSA records", Sources: daneSources,
			Evidence: []string{"DANE requires a domain signed with DNSSEC"},
			Advice:   forAll("Nothing to do. If the zone is signed, a TLSA record 3 1 1 protects against attackers who redirect senders."),
		})
	}
	return found
}

// checkTLSA checks the TLSA records of a host.
func (d *domainProbe) checkTLSA(h *Host, name string, answer *answer) []Finding {
	records := usableTLSA(answer.Msg)
	switch {
	case len(records) == 0 && len(answer.Answer) == 0:
		return nil
	case answer.status != dnssec.Secure || !d.isSecure(h):
		return []Finding{{
			ID: "dane-unsigned", Severity: Notice, Title: "TLSA records without DNSSEC have no effect", Sources: daneSources,
			Evidence: []string{quoted(name), fmt.Sprintf("MX records %s, addresses %s, TLSA records %s, %s", d.mx.status, h.dnssec.status, answer.status, d.names.validatedBy())},
			Advice:   forAll("Sign the zones of the domain and of its MX hosts. If they are signed, let this program validate: --dnssec validate."),
		}}
	case len(records) == 0:
		return []Finding{{
			ID: "dane-unusable", Severity: Warning, Title: "No TLSA record has a usage that SMTP supports", Sources: daneSources,
			Evidence: []string{quoted(name), "RFC 7672, Section 3.1 supports usages 2 and 3 only"},
			Advice:   forAll("Publish 3 1 1 with the hash of the certificate's public key."),
		}}
	}
	return d.matchTLSA(h, name, records)
}

func usableTLSA(answer *dns.Msg) (records []*dns.TLSA) {
	for _, record := range answer.Answer {
		if tlsa, ok := record.(*dns.TLSA); ok && (tlsa.Usage == usageTrustAnchor || tlsa.Usage == usageEndEntity) {
			records = append(records, tlsa)
		}
	}
	return records
}

// matchTLSA matches usable TLSA records with the certificates of a host's addresses.
func (d *domainProbe) matchTLSA(h *Host, name string, records []*dns.TLSA) (found []Finding) {
	seen := "TLSA records " + tlsaParameters(records) + ", " + d.names.validatedBy()
	for _, a := range h.Addresses {
		first := a.probe.first
		if first.TLS == nil || len(first.TLS.PeerCertificates) == 0 {
			continue // see the findings of the address
		}
		if !matchesTLSA(records, first.TLS.PeerCertificates, h.Name, d.now) {
			found = append(found, Finding{
				ID: "dane-mismatch", Severity: Critical, Sources: daneSources, Transcript: first.Transcript,
				Title:    "The certificate matches no TLSA record: senders that check DANE do not deliver",
				Evidence: []string{quoted(name) + " at " + a.Addr.String(), seen, "presented: " + describeCertificate(first.TLS.PeerCertificates[0])},
				Advice: forAll("Publish the record of the certificate in use in addition to the old one, and keep both until the old one's TTL has expired. " +
					"A record 3 1 1 stays valid when a renewal keeps the key. A record with usage 2 requires the authority's certificate in the presented chain."),
			})
		}
	}
	if found == nil {
		return []Finding{okFinding("dane", "The certificate matches the TLSA records", quoted(name), seen)}
	}
	return found
}

// tlsaParameters returns the parameters of records, "3 1 1, 2 0 1".
func tlsaParameters(records []*dns.TLSA) string {
	all := make([]string, 0, len(records))
	for _, r := range records[:min(len(records), maxAddresses)] {
		all = append(all, fmt.Sprintf("%d %d %d", r.Usage, r.Selector, r.MatchingType))
	}
	return strings.Join(all, ", ")
}

// matchesTLSA reports whether a record matches the chain (RFC 7672, Section 3.1): with
// DANE-EE the key or certificate of the host, with DANE-TA a certificate in the chain that
// issued one for the host's name.
func matchesTLSA(records []*dns.TLSA, chain []*x509.Certificate, host string, now time.Time) bool {
	for _, record := range records {
		if record.Usage == usageEndEntity && record.Verify(chain[0]) == nil {
			return true
		}
		for _, c := range chain[1:] {
			if record.Usage != usageTrustAnchor || record.Verify(c) != nil {
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
