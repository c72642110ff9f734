package tlsrptexplain

import (
	"fmt"
	"slices"
	"time"

	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/interop"
	"postern/tlsrpt"
)

// A Conclusion is the likeliest cause, and the one next step.
type Conclusion struct {
	Cause      string             // in sentences
	Confidence interop.Confidence // in the cause; 0: it is not known
	Case       *interop.Case      // the known case that it is, or nil
	Next       string
	Sources    []string // URLs
}

// How sure a conclusion is, as package interop means it.
const (
	certain  interop.Confidence = 0.95
	likely   interop.Confidence = 0.7
	possible interop.Confidence = 0.4
)

// A rule returns a conclusion if it has one.
type rule func(Question, *Explanation) (Conclusion, bool)

// rules are asked in turn: what decides a thing alone comes before what speaks for it.
var rules = []rule{nothingFailed, othersDomain, shownByRecords, othersHost, shownBySessions, shownLoosely, unlooked, mended, unlike, leftUnused, unseen}

func conclude(q Question, e *Explanation) Conclusion {
	for _, r := range rules {
		if c, ok := r(q, e); ok {
			return c
		}
	}
	return unknown(q, e)
}

func nothingFailed(_ Question, e *Explanation) (Conclusion, bool) {
	c := Conclusion{Cause: "Nothing failed.", Confidence: certain, Next: "Nothing has to be done."}
	if here := e.worst().Change; len(here.Periods) > 0 && here.Current > 0 {
		c.Cause = "Nothing failed any more: what was wrong until " + here.Periods[here.Current-1].lastDay() + " is over."
	}
	return c, e.worst().Failed == 0
}

// unlooked: the sender says what is wrong, and nobody looked whether it is.
func unlooked(q Question, e *Explanation) (Conclusion, bool) {
	leading := e.worst().leading()
	return Conclusion{
		Cause:      fmt.Sprintf("What %s says. Nobody looked whether it is so now.", leading),
		Confidence: possible,
		Next:       fmt.Sprintf("Look at the domain as it is now: postern probe %s.", named(e.Records.Domain)),
		Sources:    words[leading].Sources,
	}, q.Verified && specific(leading) && e.Records.NotChecked != "" && e.Records.Domain != ""
}

// mended: what the sender complains of would be seen, and is not there now.
func mended(_ Question, e *Explanation) (Conclusion, bool) {
	leading := e.worst().leading()
	return Conclusion{
		Cause:      fmt.Sprintf("What %s says is not to be seen now: it was mended meanwhile, or shows only from where the sender is.", leading),
		Confidence: possible,
		Next:       "Wait for the next report of this sender: if it says the same, probe from another network.",
		Sources:    words[leading].Sources,
	}, specific(leading) && e.Records.NotChecked == ""
}

// unlike: their handshakes failed with us, and in no way that is known.
func unlike(q Question, e *Explanation) (Conclusion, bool) {
	if len(e.Activity.Cases) == 0 {
		return Conclusion{}, false
	}
	return Conclusion{
		Cause: "Their handshakes failed with us in a way that looks like no known case.",
		Next: fmt.Sprintf("Look at one: postern handshakes --case %s --since %s --sender %s",
			ledger.Unknown, q.Report.Start.Format(time.DateOnly), e.Activity.failedMost(ledger.Unknown)),
	}, true
}

// leftUnused: they left after the handshake, and nothing that could be why is seen.
func leftUnused(_ Question, e *Explanation) (Conclusion, bool) {
	known, _ := interop.Find("leaves-after-handshake")
	return Conclusion{
		Cause: fmt.Sprintf("Of their sessions %d completed the handshake and left without a command, as senders do that hold the certificate against "+
			"TLSA records or a policy only then.", e.Activity.Unused),
		Confidence: possible, Case: known, Next: known.Remedy.Postern, Sources: urls(known),
	}, e.Activity.Unused > 0
}

// unseen: the ledger was asked, and none of their handshakes failed with us.
func unseen(q Question, e *Explanation) (Conclusion, bool) {
	c := Conclusion{
		Cause: "We saw none of their handshakes fail in these hours: the sessions may have failed before they came to us, as at a firewall, or at another host, " +
			"or come under names that were not looked for.",
		Confidence: possible,
		Next:       "Ask the sender for the address and the time of one session that failed.",
	}
	switch {
	case e.Records.NotChecked != "" && q.takes(e.Records.Domain):
		c.Next = fmt.Sprintf("Look at the domain as it is now: postern probe %s.", named(e.Records.Domain))
	case q.Report.Contact != "":
		c.Next = fmt.Sprintf("Ask the sender (%s) for the address and the time of one session that failed.", named(q.Report.Contact))
	}
	return c, e.Activity.NotChecked == ""
}

// unknown is what is left: too little could be asked.
func unknown(q Question, e *Explanation) Conclusion {
	c := Conclusion{Cause: "Not known: " + e.Activity.NotChecked + ".", Sources: words[e.worst().leading()].Sources}
	switch {
	case !q.Verified:
		c.Next = "If you know where the report comes from, say so with --trust: then it is laid beside what happened here."
	case e.Records.NotChecked != "" && e.Records.Domain != "":
		c.Next = fmt.Sprintf("Look at the domain: postern probe %s.", named(e.Records.Domain))
	default:
		c.Next = "Wait for the next report of this sender."
	}
	return c
}

// othersDomain: the report is about a domain that is not ours.
func othersDomain(q Question, e *Explanation) (Conclusion, bool) {
	domain := e.worst().Policy.Domain
	return Conclusion{
		Cause:      fmt.Sprintf("The report is about %s, and this server takes no mail for it.", named(domain)),
		Confidence: certain,
		Next: fmt.Sprintf("If the domain is yours, add it to domains in the configuration; if not, tell its owner that its TLS reporting record, "+
			"at _smtp._tls.%s, names your address.", named(domain)),
	}, domain != "" && q.Domains != nil && !q.takes(domain)
}

// othersHost: all that failed went to a host that is not ours.
func othersHost(q Question, e *Explanation) (Conclusion, bool) {
	host, domain := named(e.worst().foreignHost(q)), named(e.worst().Policy.Domain)
	c := Conclusion{Confidence: certain}
	switch {
	case e.Records.NotChecked != "":
		c.Cause = fmt.Sprintf("The sessions went to %s, which is not this server (%s).", host, named(q.Hostname))
		c.Next = fmt.Sprintf("See whether %s is an MX host of %s: if it is yours, look there; if not, remove the record.", host, domain)
	case e.Records.serves(e.worst().foreignHost(q)):
		c.Cause = fmt.Sprintf("The sessions went to %s, another MX host of %s. This server and its ledger have no part in them.", host, domain)
		c.Next = fmt.Sprintf("Look at that host: postern probe %s.", host)
	default:
		c.Confidence = likely
		c.Cause = fmt.Sprintf("The sessions went to %s, which is not this server and is no MX host of %s now: the sender used an MX record that has gone, "+
			"or was led astray.", host, domain)
		c.Next = fmt.Sprintf("Ask each name server of %s for its MX records: one may still name that host.", domain)
	}
	return c, e.worst().foreignHost(q) != ""
}

// foreignHost is the host that sessions failed at, if none failed at ours.
func (r Result) foreignHost(q Question) (host string) {
	if q.Hostname == "" {
		return ""
	}
	for _, f := range r.failures {
		if f.ReceivingMX == "" || sameName(f.ReceivingMX, q.Hostname) {
			return ""
		}
		host = f.ReceivingMX
	}
	return host
}

// shownByRecords: what the sender complains of is there to be seen.
func shownByRecords(_ Question, e *Explanation) (Conclusion, bool) {
	worst := e.worst()
	if worst.leading() == tlsrpt.ValidationFailure && !e.aboutPolicy() {
		return Conclusion{}, false // it may be anything: our own sessions say more
	}
	return e.finding(words[worst.leading()].findings, certain)
}

// shownLoosely: something is wrong that may be meant.
func shownLoosely(_ Question, e *Explanation) (Conclusion, bool) {
	if c, ok := e.finding(words[e.worst().leading()].findings, likely); ok {
		return c, ok
	}
	if len(e.Records.Problems) == 0 || specific(e.worst().leading()) { // what else is wrong is not what the sender says
		return Conclusion{}, false
	}
	return e.finding([]string{e.Records.Problems[0].ID}, possible)
}

// finding concludes from the worst finding with one of the IDs.
func (e *Explanation) finding(ids []string, sure interop.Confidence) (Conclusion, bool) {
	f, ok := e.Records.broken(ids)
	if !ok {
		return Conclusion{}, false
	}
	c := Conclusion{Cause: f.Title + evidence(f) + ".", Confidence: sure, Case: f.Case, Sources: f.Sources, Next: "postern probe " + named(e.Records.Domain) + " tells more."}
	if len(f.Advice) > 0 {
		c.Next = f.Advice[0].Action
	}
	return c, true
}

// evidence is the first of a finding's.
func evidence(f probe.Finding) string {
	if len(f.Evidence) == 0 {
		return ""
	}
	return " (" + f.Evidence[0] + ")"
}

// aboutPolicy tells whether what failed on our side is what a sender does that checks certificate,
// TLSA or policy, or whether the sender says so.
func (e *Explanation) aboutPolicy() bool {
	switch {
	case len(e.Activity.Cases) > 0:
		return slices.Contains(ofCertificate, e.Activity.Cases[0].ID)
	case e.Activity.Unused > 0:
		return true
	}
	return slices.ContainsFunc(e.worst().Counts, func(m ResultCount) bool { return slices.ContainsFunc(m.Reasons, namesPolicy) })
}

// policyReasons are failure reason codes of mox (v0.0.17, queue and smtpclient) for what has no
// result type of its own.
var policyReasons = []string{"mtasts-policy-mx-mismatch", "dane-no-match"}

func namesPolicy(reason string) bool { return slices.Contains(policyReasons, reason) }

// shownBySessions: the sender's handshakes failed with us, and look like a known case.
func shownBySessions(_ Question, e *Explanation) (Conclusion, bool) {
	if len(e.Activity.Cases) == 0 {
		return Conclusion{}, false
	}
	most := e.Activity.Cases[0]
	known, ok := interop.Find(most.ID)
	if !ok || !fits(e.worst().leading(), most.ID) {
		return Conclusion{}, false
	}
	c := Conclusion{
		Cause: fmt.Sprintf("%s: %s. We saw it %d×, the report counts %s.", known.ID, known.Title, most.Sessions,
			count(e.worst().Failed, "failed session")),
		Confidence: likely, Case: known, Next: known.Remedy.Postern,
	}
	if e.Activity.sure() && 2*most.Sessions >= e.worst().Failed {
		c.Confidence = certain
	}
	c.Sources = urls(known)
	f, still := e.Records.shows(known)
	switch in := e.Activity.After.Full + e.Activity.After.Resumed; {
	case still && len(f.Advice) > 0:
		c.Next = f.Advice[0].Action
	case !still && in > 0 && e.Activity.After.Failed == 0:
		c.Next = fmt.Sprintf("Nothing has to be done: since then %s of theirs got in, and none failed. Their next report should be clean.", count(in, "session"))
	}
	return c, true
}

func urls(known *interop.Case) (all []string) {
	for _, s := range known.Sources {
		all = append(all, s.URL)
	}
	return all
}
