package failure

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/internal/safetext"
)

// accountWidth is the width of an account's lines, as of mail (RFC 5322, Section 2.1.1).
const accountWidth = 78

// Account returns a plain-text account of f for the postmaster of the sender: who, when, what
// happened in the words of the protocol, what it means, and what to do. It has nothing of the
// server but its host name, and no mail address. Its lines have at most 80 columns; text from
// the sender is escaped.
func (f Failure) Account(server string) string {
	var b strings.Builder
	paragraph := func(text string) { b.WriteString(wrapped(text, accountWidth)) }
	paragraph(fmt.Sprintf("To the postmaster of %s", f.name()))
	b.WriteString("\n")
	paragraph(fmt.Sprintf("TLS handshakes of your mail server with %s fail, so it does not deliver over these connections.", server))
	b.WriteString("\n")
	fact := func(name, text string) { fmt.Fprintf(&b, "%-10s %s\n", name, text) }
	fact("Client", f.client())
	fact("Server", server+", SMTP with STARTTLS")
	fact("Time", stamp(f.At))
	first, last := f.When()
	if first != last {
		fact("Failures", fmt.Sprintf("%s between %s and %s", f.Times(), stamp(first), stamp(last)))
	}
	fact("Session", f.Session+", as in our greeting and reply to STARTTLS")
	if f.Fingerprint != "" {
		fact("JA4", safetext.Shorten(f.Fingerprint, 60))
	}
	heading(&b, "What happened")
	paragraph("The handshake stopped: " + safetext.Printable(f.Stopped) + ".")
	if f.Messages != nil {
		b.WriteString("\n" + f.diagram())
	}
	heading(&b, "What it means")
	f.meaning(paragraph)
	if len(f.Cases) > 0 {
		heading(&b, "What you can do")
		paragraph(f.Cases[0].Case.Remedy.Sender)
	}
	if f.Completed != nil {
		heading(&b, "For comparison")
		f.comparison(paragraph)
	}
	if len(f.Cases) > 0 {
		heading(&b, "Sources")
		for _, s := range f.Cases[0].Case.Sources {
			fmt.Fprintln(&b, s.URL)
			b.WriteString(indented(s.Summary))
		}
	}
	return b.String()
}

// name is how the account calls the sender.
func (f Failure) name() string {
	if f.EHLO == "" {
		return f.Address.String()
	}
	return fmt.Sprintf("%s (%s)", safetext.Shorten(f.EHLO, 100), f.Address)
}

func (f Failure) client() string {
	text := f.Address.String()
	if f.Messages != nil && f.Messages.Client.IsValid() {
		text += fmt.Sprintf(", port %d", f.Messages.Client.Port())
	}
	if f.EHLO != "" {
		text += ", EHLO " + safetext.Shorten(f.EHLO, 100)
	}
	return text
}

// diagram is that of the messages, without our own address and the error of our own library: they
// say nothing about the sender.
func (f Failure) diagram() string {
	shown := *f.Messages
	shown.Server, shown.End.Err = netip.AddrPort{}, ""
	return shown.Diagram(handshake.DiagramOptions{ASCII: true, Location: time.UTC})
}

func (f Failure) meaning(paragraph func(string)) {
	if len(f.Cases) == 0 {
		paragraph("No known case matches this handshake. The log of your server at that time may say why its TLS library gave up; please send us what it says.")
		return
	}
	likeliest := f.Cases[0]
	paragraph(fmt.Sprintf("It looks like a known behaviour of clients (%s): %s. Known clients: %s, since %s. Status: %s.",
		likeliest.Confidence, lowerFirst(likeliest.Case.Title), likeliest.Case.Clients, likeliest.Case.Since, likeliest.Case.Status))
	for _, o := range likeliest.Observations {
		paragraph("- " + safetext.Printable(o.Text))
	}
	if others := f.Cases[1:]; len(others) > 0 {
		var titles []string
		for _, d := range others {
			titles = append(titles, fmt.Sprintf("%s (%s)", lowerFirst(d.Case.Title), d.Confidence))
		}
		paragraph("Alternatives: " + strings.Join(titles, "; ") + ".")
	}
}

// comparison says what was different when the sender completed a handshake. The mode is left
// out: it is the server's own.
func (f Failure) comparison(paragraph func(string)) {
	how := "full"
	if f.Completed.Outcome == ledger.Resumed {
		how = "resumed"
	}
	paragraph(fmt.Sprintf("Your server completed a handshake (%s, %s) on %s.", how, f.Completed.Version, stamp(f.Completed.At)))
	for _, d := range f.Differences() {
		if d.Differs() && d.What != modeName {
			paragraph(fmt.Sprintf("- %s: %s there, %s in the failed one", lowerFirst(d.What), safetext.Shorten(d.Completed, maxDifference), safetext.Shorten(d.Failed, maxDifference)))
		}
	}
}

// maxDifference bounds what is said of one side of a difference.
const maxDifference = 300

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// lowerFirst returns s for the middle of a sentence, unless it begins with a name.
func lowerFirst(s string) string {
	if len(s) < 2 || strings.ToUpper(s[1:2]) == s[1:2] {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func heading(b *strings.Builder, text string) {
	fmt.Fprintf(b, "\n%s\n%s\n", text, strings.Repeat("-", len(text)))
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(wrapped(text, accountWidth-2), "\n"), "\n", "\n  ") + "\n"
}

// wrapped breaks text into lines at spaces.
func wrapped(text string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch n := len([]rune(word)); {
		case column > 0 && column+1+n > width:
			b.WriteString("\n" + word)
			column = n
		case column > 0:
			b.WriteString(" " + word)
			column += 1 + n
		default:
			b.WriteString(word)
			column = n
		}
	}
	return b.String() + "\n"
}
