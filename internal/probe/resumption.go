package probe

import (
	"context"

	"postern/internal/persona"
	"postern/interop"
)

// checkResumption reports what happens when a client offers its session: it resumes, makes a
// full handshake, or fails.
func checkResumption(p *addressProbe) []Finding {
	switch {
	case !p.first.Completed || p.resumed == nil:
		return nil
	case !p.first.Resumable():
		title := "Sessions cannot be resumed: the server sends no ticket"
		if p.software.Name == "Postern" && !p.first.Recognised { // its fallback takes all personas for one sender
			title += ", perhaps because of earlier probes"
		}
		return []Finding{p.noResumption("no-resumption", title)}
	case p.resumed.Completed && p.resumed.TLS.DidResume:
		return []Finding{okFinding("resumption", "A returning client resumes its session")}
	case p.resumed.Completed && !offeredSession(p.resumed):
		return []Finding{{
			ID: "resumption-not-tried", Severity: Notice, Title: "Resumption was not tried: the client offers no session whose certificate has expired",
			Advice: forAll("Nothing to do here: with a valid certificate it is tried."),
		}}
	case p.resumed.Completed:
		return []Finding{p.noResumption("not-resumed", "The server sends a ticket, but does not accept it")}
	case p.resumed.Stage < persona.AtHandshake:
		return nil
	}
	known, _ := interop.Find("every-other-connection")
	return []Finding{{
		ID: known.ID, Severity: Critical, Case: known, Transcript: p.resumed.Transcript,
		Title:    "A client that offers its session fails: every other connection of it fails",
		Evidence: []string{p.resumed.Transcript.DescribeEnd(), errorText(p.resumed.Err)},
		Advice:   p.software.adviceOn(known), Sources: sourceURLs(known),
	}}
}

// offeredSession reports whether a client offered to resume. Crypto/tls does not if the session's
// certificate has expired.
func offeredSession(r *persona.Result) bool {
	return r.Transcript != nil && r.Transcript.ClientHello != nil && (r.Transcript.ClientHello.PSK || r.Transcript.ClientHello.TicketTLS12)
}

func (p *addressProbe) noResumption(id, title string) Finding {
	return Finding{
		ID: id, Severity: Notice, Title: title,
		Evidence: []string{"each connection needs a full handshake"},
		Advice:   p.software.pick(resumptionAdvice),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc8446#section-2.2"},
	}
}

var resumptionAdvice = []interop.Advice{
	{Software: "mox", Action: "mox disables tickets because of golang/go#70232. To have both, put Postern in front: it sends tickets when the affected senders accept them."},
	{Software: "maddy", Action: "maddy disables tickets because of golang/go#70232. To have both, put Postern in front: it sends tickets when the affected senders accept them."},
	{Software: "Go programs", Action: "Put the gate of Postern's package sessionticket below crypto/tls, and leave tls.Config.SessionTicketsDisabled false."},
	{Software: "Postfix", Action: "Remove NO_TICKET from tls_ssl_options, and set smtpd_tls_session_cache_timeout above 0."},
	{Software: "Exim", Action: "tls_resumption_hosts = * enables tickets in a build with OpenSSL. Leave it empty in a build with GnuTLS, as Debian's: it sends tickets before the client's Finished, and some senders fail."},
	{Software: "chasquid", Action: "chasquid v1.15.1 and later disable tickets because of golang/go#70232. To have both, put Postern in front: it sends tickets when the affected senders accept them."},
	{Software: "OpenSMTPD", Action: "Nothing to do: OpenSMTPD has no setting for it. No sender fails because of it."},
	{Software: "Postern", Action: "The default mode sends tickets. After probes that the server does not recognise, its fallback may send none to the probing network: use --probe-key."},
	{Software: allSoftware, Action: "Enable tickets, or leave it: no sender fails because of it."},
}

// resumeAcross offers a session of each address to the next one, and that of the last to the
// first, so that each meets a foreign session if there is one. Senders cache sessions by the
// name of the host or the domain, rarely by address.
func (r *Report) resumeAcross(ctx context.Context) {
	completed := r.completedAddresses()
	if len(completed) < 2 {
		return
	}
	var refused []string
	var found []Finding
	resumed := 0
	for i, to := range completed {
		from := completed[(i+len(completed)-1)%len(completed)]
		if !from.probe.first.Resumable() {
			continue // see checkResumption
		}
		result := to.resume(ctx, from)
		if timeIsUp(ctx) {
			r.unmade = append(r.unmade, "session of "+from.label()+" at "+to.label())
			continue
		}
		switch {
		case result.Completed && result.TLS.DidResume:
			resumed++
		case result.Completed && to.resumesOwn():
			refused = append(refused, "session of "+from.label()+" at "+to.label())
		case !result.Completed && result.Stage == persona.AtHandshake:
			found = append(found, failsForeignSession(from, to, result))
		}
	}
	switch {
	case refused != nil:
		found = append(found, Finding{
			ID: "resumption-elsewhere", Severity: Notice,
			Title:    "A session of one address is not resumed at another: they do not share ticket keys",
			Evidence: refused,
			Advice:   forAll("Share the ticket keys between the machines, or leave it: clients make a full handshake instead."),
			Sources:  []string{"https://www.rfc-editor.org/rfc/rfc8446#section-4.6.1"},
		})
	case found == nil && resumed > 0:
		found = append(found, okFinding("resumption-elsewhere", "A session of one address is resumed at the others"))
	}
	r.Findings = append(r.Findings, found...)
}

// resume runs the healthy client with the session of another address.
func (a *Address) resume(ctx context.Context, from *Address) *persona.Result {
	defer locks.lock(ctx, a.Addr)()
	return a.probe.healthy.Resume(ctx, a.probe.target, from.probe.first)
}

// resumesOwn reports whether the address resumes its own sessions. If not, it is no news
// that it does not resume those of others.
func (a *Address) resumesOwn() bool {
	return a.probe.resumed != nil && a.probe.resumed.TLS != nil && a.probe.resumed.TLS.DidResume
}

// label returns the address with the name of its host.
func (a *Address) label() string {
	if a.probe.host == a.Addr.Addr().String() {
		return a.Addr.String()
	}
	return quoted(a.probe.host) + " (" + a.Addr.String() + ")"
}

// completedAddresses returns the addresses where the healthy client completed its first run.
func (r *Report) completedAddresses() (all []*Address) {
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			if a.probe != nil && a.probe.first.Completed {
				all = append(all, a)
			}
		}
	}
	return all
}

func failsForeignSession(from, to *Address, r *persona.Result) Finding {
	known, _ := interop.Find("every-other-connection")
	return Finding{
		ID: known.ID, Severity: Critical, Case: known, Transcript: r.Transcript,
		Title:    "A client that offers a session of one address fails at another",
		Evidence: []string{"session of " + from.label() + " at " + to.label() + ": " + errorText(r.Err)},
		Advice:   to.Software.adviceOn(known), Sources: sourceURLs(known),
	}
}
