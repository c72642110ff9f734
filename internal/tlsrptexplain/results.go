package tlsrptexplain

import (
	"cmp"
	"fmt"
	"slices"

	"postern/tlsrpt"
)

// A Result is what a report says about one policy, with what it means.
type Result struct {
	Policy             tlsrpt.Policy
	Successful, Failed int64 // sessions
	Counts             []ResultCount
	Change             Change

	failures []tlsrpt.Failure
}

// maxResults bounds what is explained: a report has one policy or two, and room for thousands.
const maxResults = 20

// results are those of the report with most failures, and how many more there are.
func results(q Question) (all []Result, more int) {
	policies := slices.Clone(q.Report.Policies)
	slices.SortStableFunc(policies, func(a, b tlsrpt.PolicyResult) int { return cmp.Compare(failedOf(b), failedOf(a)) })
	for _, p := range policies[:min(len(policies), maxResults)] {
		all = append(all, Result{
			Policy: p.Policy, Successful: p.Successful, Failed: failedOf(p),
			Counts: saidOf(p), failures: p.Failures, Change: changeOf(q, p.Policy),
		})
	}
	return all, len(policies) - len(all)
}

// failedOf is the total, or what the details come to: some senders' totals are less (mail.ru's,
// for one).
func failedOf(p tlsrpt.PolicyResult) (n int64) {
	for _, f := range p.Failures {
		n += f.Sessions
	}
	return max(n, p.Failed)
}

// leading is the result type of most failed sessions, empty if there is none.
func (r Result) leading() tlsrpt.ResultType {
	if len(r.Counts) == 0 {
		return ""
	}
	return r.Counts[0].Result
}

// A ResultCount is a result type, for the sessions that were counted under it.
type ResultCount struct {
	Result   tlsrpt.ResultType
	Sessions int64
	Reasons  []string // failure-reason-code and additional-information, as the sender wrote them: the first few
	Meaning
}

const (
	maxReasons = 3
	maxSaid    = 20 // the RFC has 11 types; a stranger may make up as many as fit
)

// saidOf counts a policy's failures by their types, the most first.
func saidOf(p tlsrpt.PolicyResult) (all []ResultCount) {
	at := make(map[tlsrpt.ResultType]int)
	for _, f := range p.Failures {
		i, known := at[f.Result]
		if !known {
			i = len(all)
			at[f.Result] = i
			all = append(all, ResultCount{Result: f.Result, Meaning: words[f.Result]})
		}
		all[i].Sessions += f.Sessions
		all[i].give(f.ReasonCode, f.AdditionalInfo)
	}
	slices.SortStableFunc(all, func(a, b ResultCount) int { return cmp.Compare(b.Sessions, a.Sessions) })
	return all[:min(len(all), maxSaid)]
}

func (s *ResultCount) give(reasons ...string) {
	for _, r := range reasons {
		if r != "" && len(s.Reasons) < maxReasons && !slices.Contains(s.Reasons, r) {
			s.Reasons = append(s.Reasons, r)
		}
	}
}

// Text says what the type means, in a paragraph.
func (s ResultCount) Text() string {
	switch {
	case s.Result == "":
		return "The report names no result type for these."
	case !s.Known():
		return quoted(string(s.Result)) + " is no result type of RFC 8460, and is not known here: only its sender can say what it means."
	}
	return fmt.Sprintf("%s It can be: %s %s", s.Says, lower(s.Can), s.Cannot)
}

// A Meaning is what a result type can and cannot mean. All is empty of a type that is not known.
type Meaning struct {
	Says    string
	Can     string // what is behind it, as far as is known
	Cannot  string // what it is often taken for, and is not
	Sources []string

	findings []string // of the probe, that show it
	cases    []string // of package interop, that sessions counted so may look like
}

// Known tells whether the type is.
func (w Meaning) Known() bool { return w.Says != "" }

// fits tells whether sessions of a type may have failed as a case does. Of a general word, and of one that
// is not known, any may.
func fits(result tlsrpt.ResultType, id string) bool {
	return !specific(result) || slices.Contains(words[result].cases, id)
}

// specific tells whether a type says what is wrong.
func specific(result tlsrpt.ResultType) bool {
	return result != tlsrpt.ValidationFailure && words[result].Known()
}

// ofCertificate are the cases of those who check it, in the handshake or after.
var ofCertificate = []string{"certificate-refused", "leaves-after-handshake"}

const (
	rfc8460 = "https://www.rfc-editor.org/rfc/rfc8460"
	rfc8461 = "https://www.rfc-editor.org/rfc/rfc8461"
	rfc7672 = "https://www.rfc-editor.org/rfc/rfc7672"
)

// words are the result types of RFC 8460, Section 4.3.
var words = map[tlsrpt.ResultType]Meaning{
	tlsrpt.STARTTLSNotSupported: {
		Says:     "The server did not offer STARTTLS, or refused it.",
		Can:      "A listener without a certificate, another server than yours, or a firewall that takes STARTTLS out of the reply to EHLO.",
		Cannot:   "It says nothing about certificate and policy: TLS did not begin.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"no-starttls", "inspected-by-firewall", "healthy"},
	},
	tlsrpt.CertificateHostMismatch: {
		Says:     "The certificate does not have the name that the sender looked for, under MTA-STS that of the MX host.",
		Can:      "A certificate for the domain but not for the host, an MX record that names an alias, or one of several hosts with an old certificate.",
		Cannot:   "It is neither expired nor of an unknown authority: these have types of their own.",
		Sources:  []string{rfc8460 + "#section-4.3.1", rfc8461 + "#section-4.2"},
		findings: []string{"wrong-name", "mta-sts-certificate", "mta-sts-mx", "dane-mismatch"},
		cases:    ofCertificate,
	},
	tlsrpt.CertificateExpired: {
		Says:     "The certificate had expired.",
		Can:      "A renewal that failed, or that the server or one of several hosts has not loaded.",
		Cannot:   "It is no fault of the policy, and senders without one deliver all the same.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"expired", "mta-sts-certificate"},
		cases:    ofCertificate,
	},
	tlsrpt.CertificateNotTrusted: {
		Says:     "The certificate does not lead to an authority that the sender knows.",
		Can:      "A self-signed certificate, or intermediates that the server does not send.",
		Cannot:   "Senders without a policy do not mind: that others deliver proves nothing.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"untrusted", "mta-sts-certificate"},
		cases:    ofCertificate,
	},
	tlsrpt.ValidationFailure: {
		Says: "Something failed that has no type of its own. RFC 8460 knows no type for a handshake that did not finish, and counts every session under the policy " +
			"that was in force: some senders put it here.",
		Can: "A handshake that was closed, timed out or ended with an alert, as in October 2024 (case early-ticket); also a host that the MTA-STS policy does not name, " +
			"or a certificate that fits no TLSA record.",
		Cannot:   "That it stands under a policy does not say that the policy is wrong.",
		Sources:  []string{rfc8460 + "#section-4.3.3", "https://github.com/golang/go/issues/70232", "https://github.com/mjl-/mox/issues/237"},
		findings: []string{"early-ticket", "mta-sts-mx", "mta-sts-certificate", "dane-mismatch", "healthy", "big-hello"},
	},
	tlsrpt.TLSAInvalid: {
		Says:     "No TLSA record of the host was usable, or none fitted the certificate.",
		Can:      "A certificate with a new key whose record was not published, or records of usage 0 or 1.",
		Cannot:   "It does not come from MTA-STS, and who does not check DANE delivers all the same.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1", rfc7672 + "#section-3.1"},
		findings: []string{"dane-mismatch", "dane-unusable"},
		cases:    ofCertificate,
	},
	tlsrpt.DNSSECInvalid: {
		Says:     "The sender's resolver got no valid answer for the MX, address or TLSA records.",
		Can:      "Signatures that have expired, a DS record of an old key, or a name server that does not answer questions for TLSA.",
		Cannot:   "It says nothing about the certificate: the sender did not come so far.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1", rfc7672 + "#section-2.1"},
		findings: []string{"dnssec-bogus", "dane-unsigned"},
	},
	tlsrpt.DANERequired: {
		Says:     "The sender insists on DANE, and found no validated TLSA records.",
		Can:      "A zone that lost its signature, an MX host without TLSA records beside others that have some, or a rule on the sender's side.",
		Cannot:   "It says nothing about the certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1"},
		findings: []string{"dnssec-bogus", "dane-unsigned", "dane-unusable", "dane"},
	},
	tlsrpt.STSPolicyFetchError: {
		Says:     "The sender saw the MTA-STS record and could not get the policy.",
		Can:      "The web server of mta-sts.DOMAIN was down, redirected, or answered with another status than 200; or the sender's own network.",
		Cannot:   "It says nothing about the mail server: the policy is fetched by HTTPS before any mail.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.3"},
		findings: []string{"mta-sts-policy"},
	},
	tlsrpt.STSPolicyInvalid: {
		Says:     "The MTA-STS policy was fetched, and is not valid.",
		Can:      "A field that is missing or written wrong, or a page of HTML in its place.",
		Cannot:   "It says nothing about the mail server and its certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.2"},
		findings: []string{"mta-sts-policy", "mta-sts-record"},
	},
	tlsrpt.STSWebPKIInvalid: {
		Says:     "The certificate of the web server of the MTA-STS policy does not verify.",
		Can:      "It has expired, or is not for the name mta-sts.DOMAIN.",
		Cannot:   "It is not the mail server's certificate that is meant.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.3"},
		findings: []string{"mta-sts-policy"},
	},
}
