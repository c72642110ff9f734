package tlsrptexplain

import (
	"fmt"
	"time"

	"postern/internal/ledger"
	"postern/interop"
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
	if here := e.worst().Change; len(here.Runs) > 0 && here.Here > 0 {
		c.Cause = "Nothing failed any more: what was wrong until " + here.Runs[here.Here-1].lastDay() + " is over."
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
	}, q.Trusted && specific(leading) && e.Records.Unasked != "" && e.Records.Domain != ""
}

// mended: what the sender complains of would be seen, and is not there now.
func mended(_ Question, e *Explanation) (Conclusion, bool) {
	leading := e.worst().leading()
	return Conclusion{
		Cause:      fmt.Sprintf("What %s says is not to be seen now: it was mended meanwhile, or shows only from where the sender is.", leading),
		Confidence: possible,
		Next:       "Wait for the next report of this sender: if it says the same, probe from another network.",
		Sources:    words[leading].Sources,
	}, specific(leading) && e.Records.Unasked == ""
}

// unlike: their handshakes failed with us, and in no way that is known.
func unlike(q Question, e *Explanation) (Conclusion, bool) {
	if len(e.Seen.Cases) == 0 {
		return Conclusion{}, false
	}
	return Conclusion{
		Cause: "Their handshakes failed with us in a way that looks like no known case.",
		Next: fmt.Sprintf("Look at one: postern handshakes --case %s --since %s --sender %s",
			ledger.Unknown, q.Report.Start.Format(time.DateOnly), e.Seen.failedMost(ledger.Unknown)),
	}, true
}

// leftUnused: they left after the handshake, and nothing that could be why is seen.
func leftUnused(_ Question, e *Explanation) (Conclusion, bool) {
	known, _ := interop.Find("leaves-after-handshake")
	return Conclusion{
		Cause: fmt.Sprintf("Of their sessions %d completed the handshake and left without a command, as senders do that hold the certificate against "+
			"TLSA records or a policy only then.", e.Seen.Unused),
		Confidence: possible, Case: known, Next: known.Remedy.Postern, Sources: urls(known),
	}, e.Seen.Unused > 0
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
	case e.Records.Unasked != "" && q.takes(e.Records.Domain):
		c.Next = fmt.Sprintf("Look at the domain as it is now: postern probe %s.", named(e.Records.Domain))
	case q.Report.Contact != "":
		c.Next = fmt.Sprintf("Ask the sender (%s) for the address and the time of one session that failed.", named(q.Report.Contact))
	}
	return c, e.Seen.Unasked == ""
}

// unknown is what is left: too little could be asked.
func unknown(q Question, e *Explanation) Conclusion {
	c := Conclusion{Cause: "Not known: " + e.Seen.Unasked + ".", Sources: words[e.worst().leading()].Sources}
	switch {
	case !q.Trusted:
		c.Next = "If you know where the report comes from, say so with --trust: then it is laid beside what happened here."
	case e.Records.Unasked != "" && e.Records.Domain != "":
		c.Next = fmt.Sprintf("Look at the domain: postern probe %s.", named(e.Records.Domain))
	default:
		c.Next = "Wait for the next report of this sender."
	}
	return c
}
