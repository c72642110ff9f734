package probe

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/persona"
	"postern/interop"
)

// falseEnds are the published ways to write an end of the text that is none (RFC 5321,
// Section 4.1.1.4): a server that takes one for the end lets a second message through
// that no check of the first has seen. CR CR LF . CR LF is none of them: it has the true
// end in it, and who sends it is at fault.
var falseEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r.\n", "\n.\r", "\n\n.\r\n", "\x00\n.\r\n",
}

// smuggle brings a letter with each false end, one after the other, until one cannot
// be tried.
func (e *exam) smuggle(letter persona.TestMessage) {
	for _, end := range falseEnds {
		target := e.target
		letter.FalseEnd = end
		target.Deliver = &letter
		v := e.healthy.Run(e.ctx, target)
		e.smuggled = append(e.smuggled, smuggling{end, v})
		if v.Replies == nil {
			return
		}
	}
}

// A smuggling is what became of a false end.
type smuggling struct {
	end   string
	visit *persona.Result
}

// taken tells whether the text ended at the false end, and whether the server took the
// second message, too. One that sees a single text answers once before its goodbye.
func (s smuggling) taken() (ended, second bool) {
	if len(s.visit.Replies) == 0 || !strings.HasPrefix(s.visit.Replies[0], "2") {
		return false, false
	}
	behind := slices.DeleteFunc(slices.Clone(s.visit.Replies[1:]), func(line string) bool { return strings.HasPrefix(line, "221") })
	i := slices.IndexFunc(behind, func(line string) bool { return strings.HasPrefix(line, "354") })
	return len(behind) > 0, i >= 0 && i+1 < len(behind) && strings.HasPrefix(behind[i+1], "2")
}

// smugglable tells whether a second message can be smuggled in behind a first.
func smugglable(e *exam) []Finding {
	if e.smuggled == nil {
		return nil
	}
	f := Finding{ID: "message-smuggling", Sources: smugglingSources, Advice: e.software.pick(smugglingAdvice)}
	for _, s := range e.smuggled {
		switch ended, second := s.taken(); {
		case second:
			f.Severity, f.Title = Critical, "A second message can be smuggled in behind a first: it seems to come from whom it likes"
			f.Evidence = append(f.Evidence, fmt.Sprintf("behind %q a second message was taken: %+q", s.end, s.visit.Replies))
		case ended:
			if f.Severity < Warning {
				f.Severity, f.Title = Warning, "The text of a message ends where it should not"
			}
			f.Evidence = append(f.Evidence, fmt.Sprintf("at %q the text ended, and what came behind was refused: %+q", s.end, s.visit.Replies))
		}
	}
	last := e.smuggled[len(e.smuggled)-1]
	switch {
	case f.Severity > OK:
		return []Finding{f}
	case last.visit.Replies == nil:
		return []Finding{{
			ID: f.ID, Severity: Unclear, Title: "Smuggling could not be tried", Evidence: []string{fmt.Sprintf("with %q: %s", last.end, clean(last.visit.Err))},
			Advice: everyone("Name addresses of yours that the server takes mail from and for: --deliver FROM TO."),
		}}
	}
	return []Finding{fine(f.ID, "No second message can be smuggled in behind a first", fmt.Sprintf("%d false ends were tried", len(e.smuggled)))}
}

var smugglingSources = []string{
	"https://sec-consult.com/blog/detail/smtp-smuggling-spoofing-e-mails-worldwide/",
	"https://www.postfix.org/smtp-smuggling.html",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51764",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51765",
	"https://nvd.nist.gov/vuln/detail/CVE-2023-51766",
}

var smugglingAdvice = []interop.Advice{
	{Software: "Postfix", Action: "smtpd_forbid_bare_newline = normalize (Postfix 3.9, 3.8.5, 3.7.10, 3.6.14 and later), and smtpd_forbid_unauth_pipelining = yes."},
	{Software: "Exim", Action: "Exim 4.97.1 or later, or the fix of your distribution."},
	{Software: "sendmail", Action: "sendmail 8.18 or later, without the options of srv_features that allow bare newlines."},
	{Software: "Go programs", Action: "Do not end the text at a bare LF, as net/textproto does: refuse lines without CRLF, or put Postern in front, which does."},
	{Software: everySoftware, Action: "Let the server refuse CR and LF that stand alone, or put Postern in front, which does."},
}

// delivered tells what became of the message that was to be brought. Of a sender that
// did not get in personas tells.
func delivered(e *exam) []Finding {
	if e.letter == nil || len(e.visits) == 0 {
		return nil
	}
	v := e.visits[0]
	switch {
	case v.Delivered:
		return []Finding{fine("delivered", "The message to "+quoted(e.letter.To)+" was taken", v.Persona.ID+" brought it")}
	case !v.Completed:
		return nil
	}
	return []Finding{{
		ID: "not-delivered", Severity: Warning, Transcript: v.Transcript,
		Title:    "The message to " + quoted(e.letter.To) + " was not taken",
		Evidence: []string{clean(v.Err)},
		Advice:   everyone("Look at the reply, and whether the server is for this recipient and lets this sender's address in."),
	}}
}
