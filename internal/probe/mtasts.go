package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/interop"
	"postern/mtasts"
)

var stsSources = []string{"https://www.rfc-editor.org/rfc/rfc8461"}

// checkMTASTS checks the domain's MTA-STS policy against its hosts, as a sender does.
func checkMTASTS(d *domainProbe) []Finding {
	name := "_mta-sts." + d.Domain
	records, err := d.names.txt(d.ctx, name)
	if err != nil {
		return []Finding{lookupFailed("mta-sts", "The MTA-STS record", err)}
	}
	if _, err := mtasts.FindRecord(records); errors.Is(err, mtasts.ErrNoRecord) {
		return []Finding{{
			ID: "mta-sts", Severity: Notice, Title: "The domain has no MTA-STS policy", Sources: stsSources,
			Evidence: []string{"no TXT record at " + name},
			Advice:   forAll("Publish a policy, or TLSA records. Without either, an attacker on the network can make senders deliver in plaintext."),
		}}
	} else if err != nil {
		return []Finding{{
			ID: "mta-sts-record", Severity: Warning, Title: "The MTA-STS record is not valid: senders ignore it", Sources: stsSources,
			Evidence: []string{errorText(err)},
			Advice:   forAll("Publish one TXT record at " + name + ", such as v=STSv1; id=20261124"),
		}}
	}
	policy, err := mtasts.Fetch(d.ctx, d.http, d.Domain)
	if err != nil {
		return []Finding{policyUnavailable(d.Domain, err)}
	}
	return d.checkPolicy(policy)
}

// policyUnavailable is the finding about a policy that cannot be fetched.
func policyUnavailable(domain string, err error) Finding {
	f := Finding{
		ID: "mta-sts-policy", Severity: Warning, Sources: stsSources,
		Title:    "The MTA-STS policy cannot be fetched: senders use a cached one or none",
		Evidence: []string{errorText(err)},
		Advice:   forAll("Serve it at https://mta-sts." + domain + "/.well-known/mta-sts.txt, with a certificate for that name, status 200 and type text/plain."),
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		f.Title = "The certificate of the MTA-STS policy host does not verify"
	case errors.Is(err, mtasts.ErrSyntax):
		f.Title = "The MTA-STS policy is not valid"
	}
	return f
}

// shortMaxAge is a max_age after which senders are without a policy when it cannot be fetched
// for some days. RFC 8461, Section 3.2 recommends weeks.
const shortMaxAge = 7 * 24 * time.Hour

// checkPolicy checks a policy against the hosts.
func (d *domainProbe) checkPolicy(policy *mtasts.Policy) []Finding {
	about := fmt.Sprintf("mode %s, max_age %s, mx %q", policy.Mode, policy.MaxAge, policy.MX)
	found := d.checkPolicyText(policy)
	if policy.Mode == mtasts.None {
		return append(found, Finding{
			ID: "mta-sts", Severity: Notice, Title: "The MTA-STS policy has mode none: senders do not apply it", Sources: stsSources,
			Evidence: []string{about},
			Advice:   forAll("To use MTA-STS, set mode testing, and later enforce."),
		})
	}
	found = append(found, d.checkPolicyHosts(policy, about)...)
	if policy.MaxAge < shortMaxAge {
		severity, title := Notice, "The MTA-STS policy has a short max_age"
		if policy.MaxAge == 0 {
			severity, title = Warning, "The MTA-STS policy has max_age 0: senders do not cache it"
		}
		found = append(found, Finding{
			ID: "mta-sts-age", Severity: severity, Title: title, Sources: stsSources,
			Evidence: []string{about},
			Advice:   forAll("Raise max_age to weeks (604800 to 31557600) when everything works."),
		})
	}
	if worst(found) < Warning {
		found = append(found, okFinding("mta-sts", "All MX hosts satisfy the MTA-STS policy", about))
	}
	return found
}

// checkPolicyText reports what package mtasts accepts, and some senders do not.
func (d *domainProbe) checkPolicyText(policy *mtasts.Policy) []Finding {
	if len(policy.Warnings) == 0 {
		return nil
	}
	// Deliveries failed because of an address in mx: a sender expected it in the certificate.
	sources := append(slices.Clone(stsSources), "https://github.com/Zuplu/postfix-tlspol/issues/70")
	return []Finding{{
		ID: "mta-sts-syntax", Severity: Warning, Title: "The MTA-STS policy has lines that are of no use, and that make some senders fail", Sources: sources,
		Evidence: policy.Warnings,
		Advice:   forAll("Correct https://mta-sts." + d.Domain + "/.well-known/mta-sts.txt, then change the id of the record."),
	}}
}

// checkPolicyHosts reports the hosts that a sender with the policy does not deliver to.
func (d *domainProbe) checkPolicyHosts(policy *mtasts.Policy, about string) (found []Finding) {
	severity, effect := Warning, "in mode enforce, senders would not deliver to it"
	if policy.Mode == mtasts.Enforce {
		severity, effect = Critical, "senders that honour the policy do not deliver to it"
	}
	for _, h := range d.Hosts {
		if !policy.Matches(h.Name) {
			found = append(found, Finding{
				ID: "mta-sts-mx", Severity: severity, Title: "The MTA-STS policy does not list an MX host: " + effect, Sources: stsSources,
				Evidence: []string{quoted(h.Name), about},
				Advice:   forAll("Add a line mx: " + h.Name + " to the policy, then change the id of the record."),
			})
			continue
		}
		if reason, advice := d.fault(h); reason != "" {
			found = append(found, Finding{
				ID: "mta-sts-certificate", Severity: severity, Title: "An MX host does not satisfy the MTA-STS policy: " + effect, Sources: stsSources,
				Evidence: []string{quoted(h.Name) + ": " + reason, about}, Advice: advice,
			})
		}
	}
	return found
}

// fault returns why a sender that verifies certificates does not deliver to a host, and what
// to do; empty if it does, or if that was not observed.
func (d *domainProbe) fault(h *Host) (reason string, advice []interop.Advice) {
	for _, a := range h.Addresses {
		first := a.probe.first
		switch {
		case first.TLS == nil && len(first.EHLO) > 0 && first.Err != nil:
			return errorText(first.Err), a.Software.pick(startTLSAdvice)
		case first.TLS != nil && len(first.TLS.PeerCertificates) > 0:
			if err := verify(first.TLS.PeerCertificates, h.Name, a.probe.roots, d.now); err != nil {
				known, _ := interop.Find("certificate-refused")
				return errorText(err), a.probe.certificateAdvice(known)
			}
		}
	}
	return "", nil
}
