package probe

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/persona"
	"postern/interop"
)

// falseEnds are the published false end-of-data sequences (RFC 5321, Section 4.1.1.4 has the
// only real one). A server that ends a message at one of them accepts a second message that
// the checks of the first have not seen. CR CR LF . CR LF is not among them: it contains the
// real end, and its sender is at fault.
var falseEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r.\n", "\n.\r", "\n\n.\r\n", "\x00\n.\r\n",
}

// A smuggling is a message sent with a false end of data, and the result.
type smuggling struct {
	end    string
	result *persona.Result
}

// smuggle sends a message with each false end of data, one after the other, until one cannot
// be sent.
func (p *addressProbe) smuggle(message persona.TestMessage) {
	for _, end := range falseEnds {
		target := p.target
		message.FalseEnd = end
		target.Deliver = &message
		result := p.healthy.Run(p.ctx, target)
		if timeIsUp(p.ctx) {
			p.notMade("message smuggling")
			return
		}
		p.smuggled = append(p.smuggled, smuggling{end, result})
		if result.Replies == nil {
			return
		}
	}
}

// accepted reports whether the message ended at the false end, and whether the server accepted
// the second message. A server that sees one message replies once before it replies to QUIT.
func (s smuggling) accepted() (ended, second bool) {
	if len(s.result.Replies) == 0 || !strings.HasPrefix(s.result.Replies[0], "2") {
		return false, false
	}
	rest := slices.DeleteFunc(slices.Clone(s.result.Replies[1:]), func(line string) bool { return strings.HasPrefix(line, "221") })
	i := slices.IndexFunc(rest, func(line string) bool { return strings.HasPrefix(line, "354") })
	return len(rest) > 0, i >= 0 && i+1 < len(rest) && strings.HasPrefix(rest[i+1], "2")
}

// checkSmuggling reports whether a second message can be smuggled behind a first.
func checkSmuggling(p *addressProbe) []Finding {
	if p.smuggled == nil {
		return nil
	}
	f := Finding{ID: "message-smuggling", Sources: smugglingSources, Advice: p.software.pick(smugglingAdvice)}
	for _, s := range p.smuggled {
		switch ended, second := s.accepted(); {
		case second:
			f.Severity, f.Title = Critical, "A second message, with a forged sender, can be smuggled behind a first"
			f.Evidence = append(f.Evidence, fmt.Sprintf("behind %q a second message was accepted: %+q", s.end, s.result.Replies))
		case ended:
			if f.Severity < Warning {
				f.Severity, f.Title = Warning, "A false end of data ends a message"
			}
			f.Evidence = append(f.Evidence, fmt.Sprintf("at %q the message ended, and what followed was refused: %+q", s.end, s.result.Replies))
		}
	}
	last := p.smuggled[len(p.smuggled)-1]
	switch {
	case f.Severity > OK:
		return []Finding{f}
	case last.result.Replies == nil:
		return []Finding{{
			ID: f.ID, Severity: Unclear, Title: "Message smuggling could not be tested", Evidence: []string{fmt.Sprintf("with %q: %s", last.end, errorText(last.result.Err))},
			Advice: forAll("Use addresses of your own that the server accepts: --deliver FROM TO."),
		}}
	}
	return []Finding{okFinding(f.ID, "No second message can be smuggled behind a first", fmt.Sprintf("%d false ends of data tested", len(p.smuggled)))}
}

var smugglingSources = []string{
	"https://sec-consult.com/blog/detail/smtp-smuggling-spoofing-e-mails-worldwide/",
	"https://www.postfix.org/smtp-smuggling.html",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51764",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51765",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51766",
}

var smugglingAdvice = []interop.Advice{
	{Software: "Postfix", Action: "Set smtpd_forbid_bare_newline = normalize (Postfix 3.9, 3.8.5, 3.7.10, 3.6.14 and later), and smtpd_forbid_unauth_pipelining = yes."},
	{Software: "Exim", Action: "Install Exim 4.97.1 or later, or the fix of your distribution."},
	{Software: "sendmail", Action: "Install sendmail 8.18 or later, without the options of srv_features that allow bare newlines."},
	{Software: "Go programs", Action: "Do not end a message at a bare LF, as net/textproto does: refuse lines without CRLF, or put Postern in front, which does."},
	{Software: allSoftware, Action: "Configure the server to refuse bare CR and LF, or put Postern in front, which does."},
}

// checkDelivery reports whether the server accepted the message of [Prober.Deliver]. If the
// sender failed before, checkPersonas reports it.
func checkDelivery(p *addressProbe) []Finding {
	if p.message == nil || len(p.runs) == 0 {
		return nil
	}
	r := p.runs[0]
	switch {
	case r.Delivered:
		return []Finding{okFinding("delivered", "The message to "+quoted(p.message.To)+" was accepted", "sent by "+r.Persona.ID)}
	case !r.Completed:
		return nil
	}
	return []Finding{{
		ID: "not-delivered", Severity: Warning, Transcript: r.Transcript,
		Title:    "The message to " + quoted(p.message.To) + " was not accepted",
		Evidence: []string{errorText(r.Err)},
		Advice:   forAll("Look at the reply. Check that the server accepts mail for this recipient, and from this client address."),
	}}
}
