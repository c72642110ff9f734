package probe

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"postern/interop"
)

// Software is what a server seems to be.
type Software struct {
	Name       string             // as it calls itself, "mox"; empty: not recognised
	Version    string             // where it tells
	Confidence interop.Confidence // of the name
	Clues      []string           // what led to it
}

// String returns name and version, "mox v0.0.12", or "not recognised".
func (s Software) String() string {
	switch {
	case s.Name == "":
		return "not recognised"
	case s.Version == "":
		return s.Name
	}
	return s.Name + " " + s.Version
}

// A signature is how one kind of software shows itself. Those of its patterns that
// are not empty have all to match. They are what was measured, but for those with a
// source.
type signature struct {
	name       string
	confidence interop.Confidence
	greeting   string
	ehlo       string // the reply to EHLO, without its codes, a line each
	source     string // where its words were read, a URL
}

const (
	named     interop.Confidence = 0.95 // it says its name
	told      interop.Confidence = 0.8  // it says its name as others have heard it: none was at hand
	alike     interop.Confidence = 0.7  // it has that software's manners
	maybeLike interop.Confidence = 0.4  // others are known that have them too, or none was at hand
)

// signatures are in the order in which they are tried. Those below the names are
// for servers whose greeting was changed, as administrators do.
var signatures = []signature{
	{name: "Postern", confidence: named, greeting: `ESMTP Postern\b`},
	{name: "mox", confidence: named, greeting: `ESMTP mox\b(?: (v?[0-9][\w.+-]*))?`},
	{name: "chasquid", confidence: named, greeting: `ESMTP chasquid\b`},
	{name: "Postfix", confidence: named, greeting: `ESMTP Postfix\b`},
	{name: "Exim", confidence: named, greeting: `ESMTP Exim\b(?: ([0-9][\w.]*))?`},
	{name: "OpenSMTPD", confidence: named, greeting: `ESMTP OpenSMTPD\b`},
	{name: "sendmail", confidence: named, greeting: `ESMTP Sendmail\b(?: ([0-9][\w.]*))?`},
	{name: "Stalwart", confidence: told, greeting: `\bStalwart ESMTP\b`, source: stalwartGreeting},
	{name: "Exchange", confidence: told, greeting: `Microsoft ESMTP MAIL Service ready\b`, source: exchangeDialogue},

	// maddy is go-smtp with a limit of its own, 32 MiB a message.
	{name: "maddy", confidence: alike, greeting: ` ESMTP Service Ready$`, ehlo: `^Hello [^\n]*(?s:.*)\nSIZE 33554432\b`},
	{name: "go-smtp", confidence: named, greeting: ` ESMTP Service Ready$`, ehlo: `^Hello \S`},
	{name: "go-smtp", confidence: maybeLike, ehlo: `^Hello \S+\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\n`},

	{name: "chasquid", confidence: alike, ehlo: `Your hour of destiny has come`},
	{name: "Stalwart", confidence: maybeLike, ehlo: `^\S+ you had me at EHLO\n`, source: stalwartEHLO},
	{name: "Exchange", confidence: maybeLike, ehlo: `(?m)^X-ANONYMOUSTLS`, source: exchangeDialogue},
	{name: "nginx", confidence: alike, greeting: ` ESMTP ready$`, ehlo: `^\S+\n(?:\S.*\n)?STARTTLS$`},
	{name: "Postfix", confidence: alike, ehlo: `\nPIPELINING\nSIZE(?s:.*)\nSTARTTLS\n(?s:.*)ENHANCEDSTATUSCODES\n8BITMIME\nDSN\b`},
	{name: "sendmail", confidence: maybeLike, ehlo: `, pleased to meet you\nENHANCEDSTATUSCODES\nPIPELINING\n`},
	{name: "OpenSMTPD", confidence: maybeLike, ehlo: `, pleased to meet you\n8BITMIME\nENHANCEDSTATUSCODES\n`},
	{name: "Exim", confidence: maybeLike, ehlo: `^\S+ Hello [^\n]+\nSIZE (?s:.*)\nPIPELINING\n`},
	{name: "mox", confidence: maybeLike, ehlo: `\n8BITMIME\nLIMITS RCPTMAX=1000\n`},
}

// What could not be measured: the defaults in Stalwart's documentation and source, and a
// session that Microsoft shows.
const (
	stalwartGreeting = "https://stalw.art/docs/ref/object/mta-stage-connect"
	stalwartEHLO     = "https://github.com/stalwartlabs/smtp-proto/blob/main/src/response/generate.rs"
	exchangeDialogue = "https://learn.microsoft.com/en-us/exchange/mail-flow/test-smtp-with-telnet"
)

// match tells whether the server is of this kind, with the version if it says it.
func (s *signature) match(greeting, ehlo string) (version string, clues []string, ok bool) {
	for _, m := range []struct{ place, said, pattern string }{
		{"the greeting", greeting, s.greeting},
		{"the reply to EHLO", ehlo, s.ehlo},
	} {
		if m.pattern == "" {
			continue
		}
		found := regexp.MustCompile(m.pattern).FindStringSubmatch(m.said)
		if found == nil {
			return "", nil, false
		}
		if len(found) > 1 {
			version = found[1]
		}
		clues = append(clues, m.place+" has "+quoted(strings.TrimSpace(found[0])))
	}
	if s.source != "" {
		clues = append(clues, "not measured, by "+s.source)
	}
	return version, clues, true
}

// recognise tells what software a server is by its greeting and its reply to EHLO,
// as lines with or without their codes.
func recognise(greeting, ehlo []string) Software {
	said, offered := withoutCodes(greeting), withoutCodes(ehlo)
	for i := range signatures {
		if version, clues, ok := signatures[i].match(said, offered); ok {
			return Software{signatures[i].name, version, signatures[i].confidence, clues}
		}
	}
	return Software{}
}

// code is what stands before the text of a reply's line (RFC 5321, Section 4.2).
var code = regexp.MustCompile(`^[0-9]{3}[ -]`)

func withoutCodes(lines []string) string {
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = strings.TrimRight(code.ReplaceAllString(line, ""), " ")
	}
	return strings.Join(texts, "\n")
}

// kin are the names under which advice for a kind of software is kept, its own
// first: who builds a server of go-smtp can do what every Go program can.
var kin = map[string][]string{
	"maddy":    {"maddy"},
	"go-smtp":  {"Go programs"},
	"chasquid": {"chasquid", "Go programs"},
	"mox":      {"mox", "Go programs"},
}

// pick takes from all the advice what is for this software: one piece, or none. For
// software that was not recognised it is all of it.
func (s Software) pick(all []interop.Advice) []interop.Advice {
	if s.Name == "" {
		return all
	}
	names := kin[s.Name]
	if names == nil {
		names = []string{s.Name}
	}
	for _, name := range append(slices.Clone(names), everySoftware) {
		if i := slices.IndexFunc(all, func(a interop.Advice) bool { return a.Software == name }); i >= 0 {
			return all[i : i+1]
		}
	}
	return nil
}

// everyone is advice for all software alike.
func everyone(do string) []interop.Advice {
	return []interop.Advice{{Software: everySoftware, Action: do}}
}

// everySoftware is who advice is for that holds whatever the server is.
const everySoftware = "all servers"

// adviceOn returns what to do about a case at this software.
func (s Software) adviceOn(c *interop.Case) []interop.Advice {
	if s.Name == "Postern" {
		return []interop.Advice{{Software: "Postern", Action: cmp.Or(posternAdvice[c.ID], c.Remedy.Postern)}}
	}
	return s.pick(c.Remedy.OtherSoftware)
}

// posternAdvice is for what a Postern shows only if it was told to: a case's remedy
// says what it does by itself.
var posternAdvice = map[string]string{
	"early-ticket": "Set mode to \"first-write\", the default: the ticket leaves after the client's Finished. With \"stock\" each such sender fails once, and is offered that when it comes again.",
}
