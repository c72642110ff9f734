package interop

import (
	"fmt"
	"slices"

	"postern/handshake"
)

// A Context is what is known around a handshake. One handshake often fits several causes;
// the context tells them apart. The zero value says that nothing is known.
type Context struct {
	// CertificateFlaw says why a client that verifies refuses the certificate that the
	// server presented, such as "self-signed"; empty if no reason is known.
	CertificateFlaw string

	// Others are other handshakes of the same sender, earlier or later, with the same
	// fingerprint and certificate.
	Others []Attempt
}

// An Attempt is a handshake, as far as it is evidence for another one of the same sender.
type Attempt struct {
	Outcome     handshake.Outcome
	Version     handshake.Version // what the server chose; 0 if it chose none
	Ticket      bool              // the server sent a session ticket
	EarlyTicket bool              // and sent it before the client's Finished
}

// AttemptOf returns t as evidence for other handshakes of its sender.
func AttemptOf(t *handshake.Transcript) Attempt {
	a := Attempt{Outcome: t.Outcome()}
	if t.ServerHello != nil {
		a.Version = t.ServerHello.Version
	}
	if ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket); ticket >= 0 {
		a.Ticket, a.EarlyTicket = true, t.IsEarlyTicket(ticket)
	}
	return a
}

// saw reports whether one of the other attempts ended so.
func (c Context) saw(outcome handshake.Outcome, such func(Attempt) bool) bool {
	return slices.ContainsFunc(c.Others, func(a Attempt) bool { return a.Outcome == outcome && such(a) })
}

func withEarlyTicket(a Attempt) bool    { return a.EarlyTicket }
func withoutEarlyTicket(a Attempt) bool { return !a.EarlyTicket }
func withTicket(a Attempt) bool         { return a.Ticket }
func withoutTicket(a Attempt) bool      { return !a.Ticket }
func inAnyMode(Attempt) bool            { return true }

// weighEarlyTicket weighs a close after a flight that held a ticket. A client that verifies
// certificates and closes without an alert, as nodemailer and aiosmtplib do, closes at the
// same point. What the sender does when the ticket comes later tells them apart.
func weighEarlyTicket(c Context, _ *handshake.Transcript, confidence Confidence, seen []Observation) (Confidence, []Observation) {
	switch {
	case confidence == 0:
		return 0, nil
	case c.saw(handshake.ClosedAfterFlight, withoutEarlyTicket), c.saw(handshake.Worked, withEarlyTicket):
		return 0, nil
	case c.saw(handshake.Worked, withoutEarlyTicket):
		return AlmostCertain, append(seen, Observation{"the same sender used a connection on which the ticket came later, or not at all", whole})
	case c.CertificateFlaw != "":
		return Possible, seen
	}
	return min(confidence, Likely), seen
}

// flaws returns why clients that verify refuse the certificate, if that is known.
func (c Context) flaws() []Observation {
	if c.CertificateFlaw == "" {
		return nil
	}
	return []Observation{{fmt.Sprintf("clients that verify refuse the certificate: it is %s", c.CertificateFlaw), whole}}
}

// weighCertificateRefused adds to an alert what is wrong with the certificate, and weighs a
// silent close by a client that had seen it, where no alert says what it is about.
func weighCertificateRefused(c Context, t *handshake.Transcript, confidence Confidence, seen []Observation) (Confidence, []Observation) {
	if confidence > 0 { // an alert said it
		return confidence, append(seen, c.flaws()...)
	}
	if !closedAtCertificate(t) || c.saw(handshake.Worked, inAnyMode) {
		return 0, nil
	}
	seen = []Observation{leaving(t)}
	if at := index(t, handshake.Server, handshake.TypeCertificate); at >= 0 {
		seen = append([]Observation{{"the server had sent its certificate", at}}, seen...)
	}
	seen = append(seen, c.flaws()...)
	early := AttemptOf(t).EarlyTicket
	differs := func(a Attempt) bool {
		return a.EarlyTicket != early || a.Version != t.ServerHello.Version
	}
	alike := c.saw(handshake.ClosedAfterFlight, differs)
	if alike {
		seen = append(seen, Observation{"the same sender closed at the same point of a handshake in another mode, so neither the ticket nor the version is the reason", whole})
	}
	switch {
	case !alike && !early && t.End.Kind == handshake.EndReset:
		return 0, nil // devices on the path send those too
	case alike && c.CertificateFlaw != "":
		return Likely, seen
	case alike, !early && c.CertificateFlaw != "":
		return Possible, seen
	case early && c.CertificateFlaw != "":
		return Possible - 0.1, seen
	case early:
		return LessLikely, seen
	}
	return 0, nil
}

// closedAtCertificate reports whether the client left where one that refuses the
// certificate without an alert leaves: after a flight that can have arrived.
func closedAtCertificate(t *handshake.Transcript) bool {
	if t.ServerHello == nil || t.ServerHello.Resumed || has(t, handshake.Server, handshake.TypeCertificateRequest) {
		return false
	}
	silent := *t
	if silent.End.Kind == handshake.EndReset {
		silent.End.Kind = handshake.EndClosed // it closed before it had read everything
	}
	return silent.Outcome() == handshake.ClosedAfterFlight
}

// weighTicketAfterFinished and weighTicketSurprisesClient weigh a client that leaves a complete
// connection without a word. Monitors do that too. What counts is whether the same sender goes
// on when it gets no ticket.
func weighTicketAfterFinished(c Context, _ *handshake.Transcript, confidence Confidence, seen []Observation) (Confidence, []Observation) {
	return weighTicket(c, confidence, seen)
}

func weighTicketSurprisesClient(c Context, t *handshake.Transcript, confidence Confidence, seen []Observation) (Confidence, []Observation) {
	again := c.saw(handshake.ClosedAfterReply, withTicket) || c.saw(handshake.Worked, inAnyMode)
	if t.View != handshake.AtClient && !again {
		return 0, nil // monitors leave so; a recorder at the client would not be there for one
	}
	return weighTicket(c, confidence, seen)
}

func weighTicket(c Context, confidence Confidence, seen []Observation) (Confidence, []Observation) {
	switch {
	case confidence == 0, c.saw(handshake.Worked, withTicket):
		return 0, nil
	case c.saw(handshake.Worked, withoutTicket):
		return Likely, append(seen, Observation{"the same sender used a connection on which it got no ticket", whole})
	}
	return confidence, seen
}
