package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"postern/interop"
	"postern/mtasts"
)

var stsSources = []string{"https://www.rfc-editor.org/rfc/rfc8461"}

// mtaSTS holds the domain's MTA-STS policy against its hosts, as a sender does.
func mtaSTS(e *domainExam) []Finding {
	records, err := e.names.texts(e.ctx, "_mta-sts."+e.Domain)
	if err != nil {
		return []Finding{unanswered("mta-sts", "MTA-STS", err)}
	}
	if _, err := mtasts.FindRecord(records); errors.Is(err, mtasts.ErrNoRecord) {
		return []Finding{{
			ID: "mta-sts", Severity: Notice, Title: "The domain has no MTA-STS policy", Sources: stsSources,
			Evidence: []string{"no TXT record at _mta-sts." + e.Domain},
			Advice:   everyone("Publish one, or TLSA records: without, whoever stands between can make senders deliver in plaintext."),
		}}
	} else if err != nil {
		return []Finding{{
			ID: "mta-sts-record", Severity: Warning, Title: "The MTA-STS record is wrong, and senders take it for none", Sources: stsSources,
			Evidence: []string{clean(err)},
			Advice:   everyone("There has to be one TXT record at _mta-sts." + e.Domain + ", such as v=STSv1; id=20261124"),
		}}
	}
	policy, err := mtasts.Fetch(e.ctx, e.client, e.Domain)
	if err != nil {
		return []Finding{noPolicy(e.Domain, err)}
	}
	return e.hold(policy)
}

// noPolicy says why the policy cannot be had.
func noPolicy(domain string, err error) Finding {
	f := Finding{
		ID: "mta-sts-policy", Severity: Warning, Sources: stsSources,
		Title:    "The MTA-STS policy cannot be had: senders that know an older one go on with that",
		Evidence: []string{clean(err)},
		Advice:   everyone("Serve it at https://mta-sts." + domain + "/.well-known/mta-sts.txt, with a certificate of that name, status 200 and type text/plain."),
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		f.Title = "The certificate of the MTA-STS policy's host does not verify"
	case errors.Is(err, mtasts.ErrSyntax):
		f.Title = "The MTA-STS policy is not valid"
	}
	return f
}

// shortAge is a max_age that leaves senders without a policy after a day's trouble;
// RFC 8461, Section 3.2 wants weeks.
const shortAge = 7 * 24 * time.Hour

// hold holds a policy against the hosts.
func (e *domainExam) hold(policy *mtasts.Policy) []Finding {
	about := fmt.Sprintf("mode %s, max_age %s, mx %q", policy.Mode, policy.MaxAge, policy.MX)
	if policy.Mode == mtasts.None {
		return []Finding{{ID: "mta-sts", Severity: Notice, Title: "The MTA-STS policy has the mode none: there is none any more", Evidence: []string{about},
			Advice: everyone("Mode testing, then enforce, when you want one."), Sources: stsSources}}
	}
	found := e.broken(policy, about)
	if policy.MaxAge < shortAge {
		severity, title := Notice, "The MTA-STS policy is kept for a short time only"
		if policy.MaxAge == 0 {
			severity, title = Warning, "The MTA-STS policy expires at once: no sender keeps it"
		}
		found = append(found, Finding{ID: "mta-sts-age", Severity: severity, Title: title, Evidence: []string{about},
			Advice: everyone("Raise max_age to weeks (604800 to 31557600), once all is well."), Sources: stsSources})
	}
	if worst(found) < Warning {
		found = append(found, fine("mta-sts", "The MTA-STS policy fits all MX hosts", about))
	}
	return found
}

// broken finds the hosts that a sender with the policy does not deliver to.
func (e *domainExam) broken(policy *mtasts.Policy, about string) (found []Finding) {
	severity, then := Warning, "in mode enforce senders would not deliver there"
	if policy.Mode == mtasts.Enforce {
		severity, then = Critical, "senders that enforce it do not deliver there"
	}
	for _, h := range e.Hosts {
		if !policy.Matches(h.Name) {
			found = append(found, Finding{
				ID: "mta-sts-mx", Severity: severity, Title: "An MX host is missing in the MTA-STS policy: " + then, Sources: stsSources,
				Evidence: []string{quoted(h.Name), about},
				Advice:   everyone("Add a line mx: " + h.Name + " to the policy, then change the id of the record."),
			})
			continue
		}
		if why, advice := h.unverified(e); why != "" {
			found = append(found, Finding{
				ID: "mta-sts-certificate", Severity: severity, Title: "The certificate of an MX host does not do for the MTA-STS policy: " + then, Sources: stsSources,
				Evidence: []string{quoted(h.Name) + ": " + why, about}, Advice: advice,
			})
		}
	}
	return found
}

// unverified says why a sender that verifies does not deliver to a host, and what to
// do; empty: it does, or that was not seen.
func (h *Host) unverified(e *domainExam) (string, []interop.Advice) {
	for _, a := range h.Addresses {
		first := a.exam.first
		switch {
		case first.TLS == nil && len(first.EHLO) > 0 && first.Err != nil:
			return clean(first.Err), a.Software.pick(startTLSAdvice)
		case first.TLS != nil && len(first.TLS.PeerCertificates) > 0:
			if err := verify(first.TLS.PeerCertificates, h.Name, a.exam.roots, e.now); err != nil {
				known, _ := interop.Find("certificate-refused")
				return clean(err), a.exam.certificateAdvice(known)
			}
		}
	}
	return "", nil
}
