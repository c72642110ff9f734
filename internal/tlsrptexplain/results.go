package tlsrptexplain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"postern/internal/safetext"
	"postern/tlsrpt"
)

// A Result is what a report says about one policy, and what that means.
type Result struct {
	Policy tlsrpt.Policy
	Totals
	Counts     []ResultCount // by result type, most sessions first; at most 20
	MoreCounts int           // result types that were left out
	Change     Change

	failures []tlsrpt.Failure
}

// maxResults bounds the policies that are explained. A report has one or two, but may
// have thousands.
const maxResults = 20

// results returns those of the report with most failures, and how many more there are.
func results(q Question) (all []Result, more int) {
	policies := slices.Clone(q.Report.Policies)
	slices.SortStableFunc(policies, func(a, b tlsrpt.PolicyResult) int { return cmp.Compare(b.FailedSessions(), a.FailedSessions()) })
	for _, p := range policies[:min(len(policies), maxResults)] {
		counts, more := countResults(p)
		all = append(all, Result{
			Policy: p.Policy, Totals: PolicyTotals(p),
			Counts: counts, MoreCounts: more, failures: p.Failures, Change: changeOf(q, p.Policy),
		})
	}
	return all, len(policies) - len(all)
}

// mainType returns the result type of most failed sessions, or an empty one.
func (r Result) mainType() tlsrpt.ResultType {
	if len(r.Counts) == 0 {
		return ""
	}
	return r.Counts[0].Result
}

// A ResultCount counts the sessions that failed with one result type.
type ResultCount struct {
	Result   tlsrpt.ResultType
	Sessions int64
	Meaning

	// Reasons are the first failure-reason-code and additional-information, as received.
	// MoreReasons reports whether there are others.
	Reasons     []string
	MoreReasons bool
}

const (
	maxReasons = 3
	maxTypes   = 20 // RFC 8460 has 11; a report may invent any number
)

// countResults counts a policy's failures by result type, most sessions first. It returns
// how many types it left out.
func countResults(p tlsrpt.PolicyResult) (all []ResultCount, more int) {
	index := make(map[tlsrpt.ResultType]int)
	for _, f := range p.Failures {
		i, known := index[f.Result]
		if !known {
			i = len(all)
			index[f.Result] = i
			all = append(all, ResultCount{Result: f.Result, Meaning: meanings[f.Result]})
		}
		all[i].Sessions += f.Sessions
		all[i].addReasons(f.ReasonCode, f.AdditionalInfo)
	}
	slices.SortStableFunc(all, func(a, b ResultCount) int { return cmp.Compare(b.Sessions, a.Sessions) })
	most := min(len(all), maxTypes)
	return all[:most], len(all) - most
}

func (c *ResultCount) addReasons(reasons ...string) {
	for _, r := range reasons {
		switch {
		case r == "" || slices.Contains(c.Reasons, r):
		case len(c.Reasons) == maxReasons:
			c.MoreReasons = true
		default:
			c.Reasons = append(c.Reasons, r)
		}
	}
}

// Text explains the result type in a paragraph.
func (c ResultCount) Text() string {
	switch {
	case c.Result == "":
		return "The report gives no result type for these sessions."
	case !c.Known():
		return quoted(string(c.Result)) + " is not a result type of RFC 8460; only the sender knows what it means."
	}
	return fmt.Sprintf("%s Possible causes: %s %s", c.Says, c.Causes, c.Not)
}

// maxReason bounds a reason in the sender's words, in characters. Some senders write the
// error of their HTTP client, with a URL in it.
const maxReason = 400

// ReasonsText returns the reasons in the sender's words, quoted. It is empty if there are none.
func (c ResultCount) ReasonsText() string {
	var quoted []string
	for _, reason := range c.Reasons {
		quoted = append(quoted, safetext.Quote(reason, maxReason))
	}
	text := strings.Join(quoted, ", ")
	if c.MoreReasons {
		text += " and others"
	}
	return text
}

// PolicyName is what operators call a type of policy.
func PolicyName(t tlsrpt.PolicyType) string {
	switch t {
	case tlsrpt.PolicySTS:
		return "MTA-STS"
	case tlsrpt.PolicyTLSA:
		return "DANE"
	case tlsrpt.NoPolicy, "":
		return "no policy"
	}
	return "unknown policy " + safetext.Quote(string(t), 40)
}

// A Meaning explains a result type. It is empty for an unknown type.
type Meaning struct {
	Says    string
	Causes  string // possible causes
	Not     string // a conclusion that the type does not allow
	Sources []string

	findings []string // IDs of the probe's findings that confirm it
	cases    []string // IDs of the cases of package interop that it can be reported for
}

// Known reports whether the result type is known.
func (m Meaning) Known() bool { return m.Says != "" }

// canMean reports whether sessions with a result type may be instances of a case. A
// general or unknown type may be any case.
func canMean(result tlsrpt.ResultType, id string) bool {
	return !isSpecific(result) || slices.Contains(meanings[result].cases, id)
}

// isSpecific reports whether a type says what is wrong.
func isSpecific(result tlsrpt.ResultType) bool {
	return result != tlsrpt.ValidationFailure && meanings[result].Known()
}

// certificateCases are the cases of clients that reject the certificate, during the
// handshake or after it.
var certificateCases = []string{"certificate-refused", "leaves-after-handshake"}

const (
	rfc8460 = "https://www.rfc-editor.org/rfc/rfc8460"
	rfc8461 = "https://www.rfc-editor.org/rfc/rfc8461"
	rfc7672 = "https://www.rfc-editor.org/rfc/rfc7672"
)

// meanings are those of the result types of RFC 8460, Section 4.3.
var meanings = map[tlsrpt.ResultType]Meaning{
	tlsrpt.STARTTLSNotSupported: {
		Says:     "The server did not offer STARTTLS, or refused it.",
		Causes:   "a listener without a certificate, a server other than yours, or a firewall that removes STARTTLS from the EHLO reply.",
		Not:      "It says nothing about certificates or policies: TLS never started.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"no-starttls", "inspected-by-firewall", "healthy"},
	},
	tlsrpt.CertificateHostMismatch: {
		Says:     "The certificate is not valid for the name that the sender expected. With MTA-STS that is the name of the MX host.",
		Causes:   "a certificate for the domain but not for the host, an MX record that points to an alias, or one of several hosts with an old certificate.",
		Not:      "It does not mean that the certificate is expired or untrusted: those have result types of their own.",
		Sources:  []string{rfc8460 + "#section-4.3.1", rfc8461 + "#section-4.2"},
		findings: []string{"wrong-name", "mta-sts-certificate", "mta-sts-mx", "dane-mismatch"},
		cases:    certificateCases,
	},
	tlsrpt.CertificateExpired: {
		Says:     "The certificate had expired.",
		Causes:   "a renewal that failed, or a renewed certificate that the server, or one of several hosts, has not loaded.",
		Not:      "It does not mean that the policy is wrong. Senders that apply no policy deliver anyway.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"expired", "mta-sts-certificate"},
		cases:    certificateCases,
	},
	tlsrpt.CertificateNotTrusted: {
		Says:     "The sender does not trust the authority that issued the certificate.",
		Causes:   "a self-signed certificate, or intermediate certificates that the server does not send.",
		Not:      "That other senders deliver proves nothing: without a policy they accept any certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.1"},
		findings: []string{"untrusted", "mta-sts-certificate"},
		cases:    certificateCases,
	},
	tlsrpt.ValidationFailure: {
		Says: "The sessions failed for a reason without a result type of its own. RFC 8460 has no type for an unfinished handshake, so some senders " +
			"report it here, under whichever policy was in force.",
		Causes: "a handshake that was closed, timed out or ended with an alert, as in October 2024 (case early-ticket); a host that the MTA-STS policy " +
			"does not list; or a certificate that matches no TLSA record.",
		Not:      "It does not mean that the policy is wrong, although the report lists it under that policy.",
		Sources:  []string{rfc8460 + "#section-4.3.3", "https://github.com/golang/go/issues/70232", "https://github.com/mjl-/mox/issues/237"},
		findings: []string{"early-ticket", "mta-sts-mx", "mta-sts-certificate", "dane-mismatch", "healthy", "big-hello"},
	},
	tlsrpt.TLSAInvalid: {
		Says:     "No TLSA record of the host was usable, or none matched the certificate.",
		Causes:   "a certificate with a new key whose TLSA record was not published, or TLSA records with usage 0 or 1.",
		Not:      "It has nothing to do with MTA-STS. Senders that do not check DANE deliver anyway.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1", rfc7672 + "#section-3.1"},
		findings: []string{"dane-mismatch", "dane-unusable"},
		cases:    certificateCases,
	},
	tlsrpt.DNSSECInvalid: {
		Says:     "The sender's resolver could not validate the MX, address or TLSA records.",
		Causes:   "expired signatures, a DS record for an old key, or a name server that does not answer queries for TLSA records.",
		Not:      "It says nothing about the certificate: the sender did not get that far.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1", rfc7672 + "#section-2.1"},
		findings: []string{"dnssec-bogus", "dane-unsigned"},
	},
	tlsrpt.DANERequired: {
		Says:     "The sender requires DANE and found no validated TLSA records.",
		Causes:   "a zone that is no longer signed, an MX host without TLSA records next to hosts that have them, or a setting on the sender's side.",
		Not:      "It says nothing about the certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.2.1"},
		findings: []string{"dnssec-bogus", "dane-unsigned", "dane-unusable", "dane"},
	},
	tlsrpt.STSPolicyFetchError: {
		Says:     "The sender found the MTA-STS record but could not fetch the policy.",
		Causes:   "a web server at mta-sts.DOMAIN that was down, redirected, or answered with a status other than 200; or a problem in the sender's network.",
		Not:      "It says nothing about the mail server: senders fetch the policy by HTTPS before they connect to it.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.3"},
		findings: []string{"mta-sts-policy"},
	},
	tlsrpt.STSPolicyInvalid: {
		Says:     "The sender fetched the MTA-STS policy, but it is not valid.",
		Causes:   "a missing or malformed field, or an HTML page in place of the policy.",
		Not:      "It says nothing about the mail server or its certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.2"},
		findings: []string{"mta-sts-policy", "mta-sts-syntax", "mta-sts-record"},
	},
	tlsrpt.STSWebPKIInvalid: {
		Says:     "The certificate of the web server that serves the MTA-STS policy could not be verified.",
		Causes:   "a certificate that has expired, or that is not for the name mta-sts.DOMAIN.",
		Not:      "It is not about the mail server's certificate.",
		Sources:  []string{rfc8460 + "#section-4.3.2.2", rfc8461 + "#section-3.3"},
		findings: []string{"mta-sts-policy"},
	},
}
