package probe

import (
	"strings"

	"postern/interop"
)

// inClear tells what the server does when a handshake has failed. Whoever hears it then
// may not be the sender, and what it hears may not be commands, so that TLS wants the
// connection closed.
func inClear(e *exam) []Finding {
	var spoken, obeyed []string
	heard := false
	for _, b := range e.breaches {
		heard = heard || b.heard
		switch {
		case b.reply != "" && strings.HasPrefix(b.reply, harmless[e.target.Protocol].obeyed):
			obeyed = append(obeyed, "after "+b.how+", "+harmless[e.target.Protocol].command+" was answered in clear: "+quoted(strings.TrimSpace(b.reply)))
		case b.said+b.reply != "":
			spoken = append(spoken, "after "+b.how+" it said in clear: "+quoted(strings.TrimSpace(b.said+b.reply)))
		}
	}
	f := Finding{ID: "clear-after-failure", Evidence: append(obeyed, spoken...), Sources: clearSources}
	switch {
	case !heard:
		return nil
	case obeyed != nil:
		f.Severity, f.Title, f.Advice = Warning, "The server goes on in clear after a failed handshake", e.software.pick(clearAdvice)
	case spoken != nil:
		f.Severity, f.Title, f.Advice = Notice, "The server speaks in clear after a failed handshake, but obeys no command", e.software.pick(clearAdvice)
	default:
		return []Finding{fine(f.ID, "After a failed handshake nothing is said in clear")}
	}
	return []Finding{f}
}

var clearSources = []string{
	"https://www.rfc-editor.org/rfc/rfc8446#section-6.2",                         // after a fatal alert both sides close
	"https://www.rfc-editor.org/rfc/rfc3207#section-6",                           // what was learned before TLS is to be forgotten
	"https://www.usenix.org/conference/usenixsecurity21/presentation/poddebniak", // STARTTLS and what is said around it
}

var clearAdvice = []interop.Advice{
	{Software: "Exim", Do: "Nothing has to be done: Exim answers all commands but QUIT with 554 Security failure then."},
	{Software: "maddy", Do: "maddy has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "chasquid", Do: "chasquid has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "Go programs", Do: "Close the connection when Handshake of the tls.Conn returns an error. go-smtp goes on and has no setting for it: put Postern in front, which closes."},
	{Software: everySoftware, Do: "Look for a newer version that closes the connection when TLS fails, or put Postern in front, which does."},
}
