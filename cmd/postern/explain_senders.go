package main

import (
	"net/netip"
	"slices"

	"postern/handshake"
	"postern/interop"
)

// Bounds of what explain keeps of the senders in a capture.
const (
	maxCaptureSenders = 10_000
	maxSenderAttempts = 16
)

// A captureSender is what two connections of one sender have in common.
type captureSender struct {
	addr      netip.Addr
	ehlo, ja4 string
}

// captureSenders has the handshakes of each sender in a capture: what a sender does in one of
// them is evidence about the others.
type captureSenders map[captureSender][]senderAttempt

type senderAttempt struct {
	interop.Attempt
	transcript *handshake.Transcript
}

// of returns the sender of a connection; ok is false if its handshake has no ClientHello.
func (captureSenders) of(e explained) (s captureSender, ok bool) {
	if e.conversation == nil || e.transcript == nil || e.transcript.ClientHello == nil {
		return s, false
	}
	return captureSender{e.conversation.Client.Addr(), e.conversation.EHLO, e.transcript.ClientHello.SenderJA4()}, true
}

// add adds a connection, and returns it with diagnoses that use the earlier ones of its sender.
func (all captureSenders) add(e explained) explained {
	s, ok := all.of(e)
	if !ok || all[s] == nil && len(all) == maxCaptureSenders {
		return e
	}
	attempts := append(all[s], senderAttempt{interop.AttemptOf(e.transcript), e.transcript})
	all[s] = attempts[max(0, len(attempts)-maxSenderAttempts):]
	return all.again(e)
}

// again returns a connection with diagnoses that use all others of its sender.
func (all captureSenders) again(e explained) explained {
	s, ok := all.of(e)
	if !ok {
		return e
	}
	var context interop.Context
	for _, other := range all[s] {
		if other.transcript != e.transcript {
			context.Others = append(context.Others, other.Attempt)
		}
	}
	return explain(e.conversation, e.transcript, context)
}

// revise diagnoses the kept connections of e's sender again, and counts them by the result.
func (o *explainOutput) revise(e explained) {
	s, ok := o.senders.of(e)
	if !ok || len(o.senders[s]) < 2 {
		return
	}
	for i, old := range o.kept {
		if other, ok := o.senders.of(old); !ok || other != s || !slices.ContainsFunc(o.senders[s], func(a senderAttempt) bool { return a.transcript == old.transcript }) {
			continue
		}
		o.count(old, -1)
		o.kept[i] = o.senders.again(old)
		o.count(o.kept[i], 1)
	}
}

// count adds a connection to the counts, or takes it out.
func (o *explainOutput) count(e explained, n int) {
	o.counts[e.result] += n
	if !e.failed() {
		return
	}
	if o.byCase == nil {
		o.byCase = make(map[string]int)
	}
	if o.byCase[e.caseID()] += n; o.byCase[e.caseID()] == 0 {
		delete(o.byCase, e.caseID())
	}
}
