package probe

import (
	"context"

	"postern/internal/persona"
	"postern/interop"
)

// resumption tells what becomes of a client that comes again and offers its session:
// it resumes, makes a full handshake, or is turned away.
func resumption(e *exam) []Finding {
	switch {
	case !e.first.Completed || e.again == nil:
		return nil
	case !e.first.Resumable():
		return []Finding{e.costly("no-resumption", "No session can be resumed: the server gives no ticket"+e.learned())}
	case e.again.Completed && e.again.TLS.DidResume:
		return []Finding{fine("resumption", "A client that comes again resumes its session")}
	case e.again.Completed:
		return []Finding{e.costly("not-resumed", "The server gives a ticket and does not honour it")}
	case e.again.Stage < persona.AtHandshake:
		return nil
	}
	known, _ := interop.Find("every-other-connection")
	return []Finding{{
		ID: known.ID, Severity: Critical, Case: known, Transcript: e.again.Transcript,
		Title:    "A client that offers its session is turned away: it gets in every other time",
		Evidence: []string{e.again.Transcript.DescribeEnd(), clean(e.again.Err)},
		Advice:   e.software.adviceOn(known), Sources: sourcesOf(known),
	}}
}

func (e *exam) costly(id, title string) Finding {
	return Finding{
		ID: id, Severity: Notice, Title: title,
		Evidence: []string{"each connection costs a full handshake"},
		Advice:   e.software.pick(resumptionAdvice),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc8446#section-2.2"},
	}
}

// learned says why a Postern may give no ticket to a client that it would give one: its
// ladder takes personas that refuse them for the same sender.
func (e *exam) learned() string {
	if e.software.Name != "Postern" {
		return ""
	}
	return ", perhaps because of earlier probes"
}

var resumptionAdvice = []interop.Advice{
	{Software: "mox", Action: "Tickets are off on purpose, for the senders of golang/go#70232. To have both, put Postern in front: its tickets come when those senders bear them."},
	{Software: "maddy", Action: "Tickets are off on purpose, for the senders of golang/go#70232. To have both, put Postern in front: its tickets come when those senders bear them."},
	{Software: "Go programs", Action: "Put the gate of postern/sessionticket below crypto/tls and leave tls.Config.SessionTicketsDisabled false."},
	{Software: "Postfix", Action: "Leave tls_ssl_options without NO_TICKET, and smtpd_tls_session_cache_timeout above 0."},
	{Software: "Exim", Action: "tls_resumption_hosts = * gives tickets in a build with OpenSSL. Leave it empty in one with GnuTLS, as Debian's: its tickets come before the client's Finished, and keep some senders out."},
	{Software: "chasquid", Action: "From v1.15.1 on tickets are off on purpose, for the senders of golang/go#70232. To have both, put Postern in front: its tickets come when those senders bear them."},
	{Software: "OpenSMTPD", Action: "It has no setting for sessions. No sender is kept out by that."},
	{Software: "Postern", Action: "mode = \"first-write\", the default, gives tickets. Probes teach it, too: after some of them it gives none to the network that they come from. " +
		"Pin that before you probe: postern senders pin NETWORK first-write --why probes."},
	{Software: everySoftware, Action: "Let the server give tickets that it honours, or leave it: no sender is kept out."},
}

// compare offers the session of each address at the next one, and that of the last at
// the first: so each of them meets a session that another one gave, whichever of them
// can be had. Senders keep sessions by the name of a host, some by that of the domain,
// and rarely by address.
func (r *Report) compare(ctx context.Context) {
	reached := r.reached()
	if len(reached) < 2 {
		return
	}
	var full []string
	var found []Finding
	taken := 0
	for i, to := range reached {
		from := reached[(i+len(reached)-1)%len(reached)]
		if !from.exam.first.Resumable() {
			continue // see resumption
		}
		switch v := to.offered(ctx, from); {
		case v.Completed && v.TLS.DidResume:
			taken++
		case v.Completed && to.honoursItsOwn():
			full = append(full, "that of "+from.where()+" at "+to.where())
		case !v.Completed && v.Stage == persona.AtHandshake:
			found = append(found, turnedAway(from, to, v))
		}
	}
	switch {
	case full != nil:
		found = append(found, notShared(full))
	case found == nil && taken > 0:
		found = append(found, fine("resumption-elsewhere", "A session of one address is resumed at the others"))
	}
	r.Findings = append(r.Findings, found...)
}

// offered lets the healthy client come with the session that another address gave.
func (a *Address) offered(ctx context.Context, from *Address) *persona.Result {
	defer ahead.take(ctx, a.Addr)()
	return a.exam.healthy.Resume(ctx, a.exam.target, from.exam.first)
}

// honoursItsOwn tells whether the address resumes the sessions that it gave itself:
// where it does not, it says nothing that it does not resume those of others.
func (a *Address) honoursItsOwn() bool {
	return a.exam.again != nil && a.exam.again.TLS != nil && a.exam.again.TLS.DidResume
}

// where is the address with the name of its host.
func (a *Address) where() string {
	if a.exam.host == a.Addr.Addr().String() {
		return a.Addr.String()
	}
	return quoted(a.exam.host) + " (" + a.Addr.String() + ")"
}

func notShared(full []string) Finding {
	return Finding{
		ID: "resumption-elsewhere", Severity: Notice,
		Title:    "A session of one address is not resumed at another: they do not share their ticket keys",
		Evidence: full,
		Advice:   everyone("Share the ticket keys between the machines, or leave it: a full handshake is made instead."),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc8446#section-4.6.1"},
	}
}

// reached are the addresses where the healthy client got in.
func (r *Report) reached() (all []*Address) {
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			if a.exam != nil && a.exam.first.Completed {
				all = append(all, a)
			}
		}
	}
	return all
}

func turnedAway(from, to *Address, v *persona.Result) Finding {
	known, _ := interop.Find("every-other-connection")
	return Finding{
		ID: known.ID, Severity: Critical, Case: known, Transcript: v.Transcript,
		Title:    "A session of one address makes another turn the sender away",
		Evidence: []string{"that of " + from.where() + " at " + to.where() + ": " + clean(v.Err)},
		Advice:   to.Software.adviceOn(known), Sources: sourcesOf(known),
	}
}
