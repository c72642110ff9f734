package tlsrptexplain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/interop"
	"postern/tlsrpt"
)

// rules are tried in order; the first that applies gives the conclusion. Rules that are
// decisive by themselves come before those that only support a cause.
var rules = []func(Question, *Explanation) (Conclusion, bool){
	nothingFailed, otherDomain, confirmedByProbe, otherHost, knownCase, suggestedByProbe, notProbed, notConfirmed, resolved, unknownFailure, leftUnused,
	noFailureHere,
}

func conclude(q Question, e *Explanation) Conclusion {
	for _, rule := range rules {
		if c, ok := rule(q, e); ok {
			return c.of(q)
		}
	}
	return unknown(q, e)
}

// of limits the conclusion to what the report allows: an unverified one may be forged.
func (c Conclusion) of(q Question) Conclusion {
	if !q.Verified {
		c.Cause = "If the report is genuine, which is unverified: " + c.Cause
		c.Confidence = min(c.Confidence, interop.Likely)
	}
	return c
}

func nothingFailed(_ Question, e *Explanation) (Conclusion, bool) {
	c := Conclusion{Cause: "No session failed.", Confidence: interop.AlmostCertain, Next: "Nothing to do."}
	if change := e.worst().Change; len(change.Periods) > 0 && change.Current > 0 {
		c.Cause = "No session failed: the problem that lasted until " + change.Periods[change.Current-1].lastDay() + " is over."
	}
	return c, e.worst().Failed == 0
}

// otherDomain: the report is about a domain that this server does not serve.
func otherDomain(_ Question, e *Explanation) (Conclusion, bool) {
	policy := e.worst().Policy
	domain := named(strings.TrimSuffix(policy.Domain, "."))
	c := Conclusion{
		Cause:      fmt.Sprintf("The report is about %s, and this server does not accept mail for that domain.", domain),
		Confidence: interop.AlmostCertain,
		Next: fmt.Sprintf("If the domain is yours, add it to domains in the configuration. If not, tell its owner that its TLS reporting record, "+
			"at _smtp._tls.%s, contains your address.", domain),
	}
	if policy.Type == tlsrpt.PolicyTLSA {
		c.Confidence = interop.Likely
		c.Cause = fmt.Sprintf("The report is about TLSA records of %s, which is neither this server nor, now, an MX host of your domains.", domain)
		c.Next = fmt.Sprintf("If %s was an MX host of yours, look there. If it receives mail of a domain of yours, add the domain to domains in the "+
			"configuration. If not, tell its owner that a TLS reporting record contains your address.", domain)
	}
	return c, e.domain.owner == strangers
}

// confirmedByProbe: the probe finds exactly what the sender reports.
func confirmedByProbe(_ Question, e *Explanation) (Conclusion, bool) {
	worst := e.worst()
	if worst.mainType() == tlsrpt.ValidationFailure && !e.aboutPolicy() {
		return Conclusion{}, false // the type is too general: our own sessions say more
	}
	return e.fromProbe(meanings[worst.mainType()].findings, interop.AlmostCertain)
}

// aboutPolicy reports whether the failures are those of a sender that rejects the
// certificate, TLSA records or policy, by our own sessions or by the sender's reason codes.
func (e *Explanation) aboutPolicy() bool {
	switch {
	case len(e.Activity.Cases) > 0:
		return slices.Contains(certificateCases, e.Activity.mainCase())
	case e.Activity.Unused > 0:
		return true
	}
	return slices.ContainsFunc(e.worst().Counts, func(c ResultCount) bool {
		return slices.ContainsFunc(c.Reasons, func(r string) bool { return slices.Contains(policyReasons, r) })
	})
}

// policyReasons are failure reason codes of mox (v0.0.17, queue and smtpclient) for
// failures without a result type of their own.
var policyReasons = []string{"mtasts-policy-mx-mismatch", "dane-no-match"}

// fromProbe concludes from the most severe problem with one of the IDs.
func (e *Explanation) fromProbe(ids []string, confidence interop.Confidence) (Conclusion, bool) {
	f, ok := e.Records.problem(ids)
	if !ok {
		return Conclusion{}, false
	}
	c := Conclusion{
		Cause: f.Title + firstEvidence(f) + ".", Confidence: confidence, Case: f.Case, Sources: f.Sources,
		Next: "For details: postern probe " + named(e.Records.Domain) + ".",
	}
	if len(f.Advice) > 0 {
		c.Next = f.Advice[0].Action
	}
	return c, true
}

func firstEvidence(f probe.Finding) string {
	if len(f.Evidence) == 0 {
		return ""
	}
	return " (" + f.Evidence[0] + ")"
}

// otherHost: all failures were at a host that is not this server.
func otherHost(q Question, e *Explanation) (Conclusion, bool) {
	host, domain := e.otherHost(q), named(e.Records.Domain)
	name := named(strings.TrimSuffix(host, "."))
	c := Conclusion{Confidence: interop.AlmostCertain}
	switch {
	case e.Records.NotChecked != "":
		c.Cause = fmt.Sprintf("The sessions went to %s, not to this server (%s).", name, named(q.Hostname))
		c.Next = fmt.Sprintf("Check whether %s is an MX host of %s. If it is yours, look there; if not, remove the MX record.", name, domain)
		if sameName(host, e.worst().Policy.Domain) { // of DANE, and without DNS
			c.Confidence = interop.Likely
			c.Cause = fmt.Sprintf("The report is about TLSA records of %s, which is not the name of this server (%s).", name, named(q.Hostname))
			c.Next = fmt.Sprintf("Check whether %s is an MX host of one of your domains, or another name of this server. If it is another host of yours, look there.", name)
		}
	case e.Records.hasMX(host) && len(e.Records.Hosts) == 1:
		c.Confidence = interop.Possible
		c.Cause = fmt.Sprintf("The sessions went to %s, the only MX host of %s. If that is another name of this server (%s), it recorded no failed handshake of "+
			"the sender in these hours.", name, domain, named(q.Hostname))
		c.Next = fmt.Sprintf("If %s is this server, set hostname to that name. If not, probe it: postern probe %s.", name, name)
	case e.Records.hasMX(host):
		c.Cause = fmt.Sprintf("The sessions went to %s, another MX host of %s. This server has no record of them.", name, domain)
		c.Next = fmt.Sprintf("Probe that host: postern probe %s.", name)
	default:
		c.Confidence = interop.Likely
		c.Cause = fmt.Sprintf("The sessions went to %s, which is neither this server nor, now, an MX host of %s: the sender used an outdated or "+
			"a forged MX record.", name, domain)
		c.Next = fmt.Sprintf("Query each name server of %s for its MX records: one may still name that host.", domain)
	}
	return c, host != ""
}

// otherHost returns the host of the failed sessions if none of them failed at this server.
func (e *Explanation) otherHost(q Question) (host string) {
	r := e.worst()
	byPolicy := ""
	if r.Policy.Type == tlsrpt.PolicyTLSA && !q.accepts(r.Policy.Domain) && !e.domain.thisHost {
		byPolicy = cmp.Or(e.domain.mxHost, r.Policy.Domain)
	}
	if q.Hostname == "" {
		return ""
	}
	if len(r.failures) == 0 {
		return byPolicy
	}
	for _, f := range r.failures {
		at := cmp.Or(f.ReceivingMX, byPolicy)
		if at == "" || sameName(at, q.Hostname) {
			return ""
		}
		host = at
	}
	if e.Records.hasMX(host) && len(e.Activity.Cases) > 0 {
		return "" // a host of the domain, and the sender's sessions failed here: another name of this server
	}
	return host
}

// knownCase: the sender's handshakes failed here, and match a known case.
func knownCase(_ Question, e *Explanation) (Conclusion, bool) {
	id := e.Activity.mainCase()
	known, ok := interop.Find(id)
	if !ok || !canMean(e.worst().mainType(), id) {
		return Conclusion{}, false
	}
	c := Conclusion{
		Cause: fmt.Sprintf("%s: %s. This server recorded %s of this kind, the report counts %s.", known.ID, known.Title,
			count(e.Activity.Cases[id], "failure"), count(e.worst().Failed, "failed session")),
		Confidence: interop.Likely, Case: known, Next: known.Remedy.Postern, Sources: sourceURLs(known),
	}
	f, still := e.Records.problemOfCase(known)
	switch sure := e.Activity.Cases[id] - e.Activity.Unsure[id]; {
	case 2*sure < e.Activity.Cases[id] && !still:
		c.Confidence = interop.Possible
	case e.Activity.confirmed() && 2*sure >= e.worst().Failed:
		c.Confidence = interop.AlmostCertain
	}
	switch completed := e.Activity.After.Full + e.Activity.After.Resumed; {
	case still && len(f.Advice) > 0:
		c.Next = f.Advice[0].Action
	case !still && completed > 0 && e.Activity.After.Failed == 0:
		c.Next = fmt.Sprintf("Nothing to do: since then %s of this sender completed TLS, and none failed. Its next report should be clean.", count(completed, "session"))
	}
	return c, true
}

func sourceURLs(known *interop.Case) (all []string) {
	for _, s := range known.Sources {
		all = append(all, s.URL)
	}
	return all
}

// suggestedByProbe: the probe finds a problem that the sender may mean.
func suggestedByProbe(_ Question, e *Explanation) (Conclusion, bool) {
	reported := e.worst().mainType()
	if c, ok := e.fromProbe(meanings[reported].findings, interop.Likely); ok {
		return c, ok
	}
	if len(e.Records.Problems) == 0 || isSpecific(reported) { // a specific type does not mean another problem
		return Conclusion{}, false
	}
	return e.fromProbe([]string{e.Records.Problems[0].ID}, interop.Possible)
}

// notProbed: the sender says what is wrong, and the domain was not probed.
func notProbed(_ Question, e *Explanation) (Conclusion, bool) {
	reported := e.worst().mainType()
	return Conclusion{
		Cause:      fmt.Sprintf("The sender reports %s. The domain was not probed to confirm that.", reported),
		Confidence: interop.Possible,
		Next:       fmt.Sprintf("Probe the domain: postern probe %s.", named(e.Records.Domain)),
		Sources:    meanings[reported].Sources,
	}, isSpecific(reported) && e.Records.NotChecked != "" && e.Records.Domain != ""
}

// notConfirmed: the sender says what is wrong, and the probe was inconclusive.
func notConfirmed(_ Question, e *Explanation) (Conclusion, bool) {
	reported := e.worst().mainType()
	if !isSpecific(reported) || len(e.Records.Unclear) == 0 {
		return Conclusion{}, false
	}
	return Conclusion{
		Cause:      fmt.Sprintf("The sender reports %s. The probe does not confirm it, but was inconclusive: %s.", reported, e.Records.Unclear[0]),
		Confidence: interop.Possible,
		Next:       fmt.Sprintf("Probe the domain from another network, or with more time: postern probe --timeout 10m %s.", named(e.Records.Domain)),
		Sources:    meanings[reported].Sources,
	}, true
}

// resolved: the probe would find what the sender reports, and does not.
func resolved(_ Question, e *Explanation) (Conclusion, bool) {
	reported := e.worst().mainType()
	return Conclusion{
		Cause: fmt.Sprintf("The sender reports %s, and the probe does not confirm it: the problem was fixed since, or it shows only from the sender's network.",
			reported),
		Confidence: interop.Possible,
		Next:       "Wait for the next report of this sender. If it says the same, probe from another network.",
		Sources:    meanings[reported].Sources,
	}, isSpecific(reported) && e.Records.NotChecked == ""
}

// unknownFailure: the sender's handshakes failed here, and match no known case.
func unknownFailure(q Question, e *Explanation) (Conclusion, bool) {
	if len(e.Activity.Cases) == 0 {
		return Conclusion{}, false
	}
	return Conclusion{
		Cause: "The sender's handshakes failed here in a way that matches no known case.",
		Next: fmt.Sprintf("Look at one: postern handshakes --case %s --since %s --sender %s",
			ledger.Unknown, q.Report.Start.Format(time.DateOnly), e.Activity.mostFailures(ledger.Unknown)),
	}, true
}

// leftUnused: the sender left after the handshake, and nothing explains why.
func leftUnused(_ Question, e *Explanation) (Conclusion, bool) {
	known, _ := interop.Find("leaves-after-handshake")
	return Conclusion{
		Cause: fmt.Sprintf("%s of this sender completed the handshake and ended without a command. Senders do that if they check the certificate "+
			"against TLSA records or a policy only after the handshake.", count(e.Activity.Unused, "session")),
		Confidence: interop.Possible, Case: known, Next: known.Remedy.Postern, Sources: sourceURLs(known),
	}, e.Activity.Unused > 0
}

// noFailureHere: the ledger was searched, and has no failed handshake of the sender.
func noFailureHere(q Question, e *Explanation) (Conclusion, bool) {
	c := Conclusion{
		Cause: "No handshake of this sender failed here in these hours. The sessions may have failed before they reached this server, as at a firewall, " +
			"or at another host, or the sender's servers have names that were not searched for.",
		Confidence: interop.Possible,
		Next:       "Ask the sender for the address and time of one failed session.",
	}
	switch {
	case e.Records.NotChecked != "" && q.accepts(e.Records.Domain):
		c.Next = fmt.Sprintf("Probe the domain: postern probe %s.", named(e.Records.Domain))
	case q.Report.Contact != "":
		c.Next = fmt.Sprintf("Ask the sender (%s) for the address and time of one failed session.", named(q.Report.Contact))
	}
	return c, e.Activity.NotChecked == ""
}

// unknown is the conclusion if no rule applies: too little could be checked.
func unknown(q Question, e *Explanation) Conclusion {
	c := Conclusion{Cause: "Unknown: " + e.Activity.NotChecked + ".", Sources: meanings[e.worst().mainType()].Sources}
	switch {
	case !q.Verified && q.Domains == nil:
		c.Next = "Name the configuration of postern serve with --config, or use --trust if you know that the report is genuine."
	case e.Records.NotChecked != "" && e.Records.Domain != "":
		c.Next = fmt.Sprintf("Probe the domain: postern probe %s.", named(e.Records.Domain))
	default:
		c.Next = "Wait for the next report of this sender."
	}
	return c
}
