package tlsrptexplain

import (
	"fmt"
	"slices"

	"postern/internal/probe"
	"postern/interop"
	"postern/tlsrpt"
)

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
	if len(e.Records.Wrong) == 0 || specific(e.worst().leading()) { // what else is wrong is not what the sender says
		return Conclusion{}, false
	}
	return e.finding([]string{e.Records.Wrong[0].ID}, possible)
}

// finding concludes from the worst finding with one of the IDs.
func (e *Explanation) finding(ids []string, sure interop.Confidence) (Conclusion, bool) {
	f, ok := e.Records.broken(ids)
	if !ok {
		return Conclusion{}, false
	}
	c := Conclusion{Cause: f.Title + evidence(f) + ".", Confidence: sure, Case: f.Case, Sources: f.Sources, Next: "postern probe " + named(e.Records.Domain) + " tells more."}
	if len(f.Advice) > 0 {
		c.Next = f.Advice[0].Do
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
	case len(e.Seen.Cases) > 0:
		return slices.Contains(ofCertificate, e.Seen.Cases[0].ID)
	case e.Seen.Unused > 0:
		return true
	}
	return slices.ContainsFunc(e.worst().Said, func(m Said) bool { return slices.ContainsFunc(m.Reasons, namesPolicy) })
}

// policyReasons are failure reason codes of mox (v0.0.17, queue and smtpclient) for what has no
// result type of its own.
var policyReasons = []string{"mtasts-policy-mx-mismatch", "dane-no-match"}

func namesPolicy(reason string) bool { return slices.Contains(policyReasons, reason) }

// shownBySessions: the sender's handshakes failed with us, and look like a known case.
func shownBySessions(_ Question, e *Explanation) (Conclusion, bool) {
	if len(e.Seen.Cases) == 0 {
		return Conclusion{}, false
	}
	most := e.Seen.Cases[0]
	known, ok := interop.Find(most.ID)
	if !ok || !fits(e.worst().leading(), most.ID) {
		return Conclusion{}, false
	}
	c := Conclusion{
		Cause: fmt.Sprintf("%s: %s. We saw it %d×, the report counts %s.", known.ID, known.Title, most.Sessions,
			count(e.worst().Failed, "failed session")),
		Confidence: likely, Case: known, Next: known.Remedy.Postern,
	}
	if e.Seen.sure() && 2*most.Sessions >= e.worst().Failed {
		c.Confidence = certain
	}
	c.Sources = urls(known)
	f, still := e.Records.shows(known)
	switch in := e.Seen.After.Full + e.Seen.After.Resumed; {
	case still && len(f.Advice) > 0:
		c.Next = f.Advice[0].Do
	case !still && in > 0 && e.Seen.After.Failed == 0:
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
