package probe

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"postern/interop"
)

// Software is the software of a server, as recognised.
type Software struct {
	Name       string             // "mox"; empty: not recognised
	Version    string             // if known
	Confidence interop.Confidence // of the name
	Clues      []string           // what it was recognised by
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

// A signature recognises one kind of software: all patterns that are not empty must match.
// Patterns without a source were measured.
type signature struct {
	name       string
	confidence interop.Confidence
	greeting   string
	ehlo       string // the reply to EHLO, without its codes, a line each
	source     string // the URL of text that was not measured
}

const (
	byName           interop.Confidence = 0.95 // the server says its name
	byPublishedName  interop.Confidence = 0.8  // the same, by published text only
	byStyle          interop.Confidence = 0.7  // replies in the style of the software
	byAmbiguousStyle interop.Confidence = 0.4  // others have the same style, or by published text only
)

// signatures are tried in order. Those below the names are for servers with a changed
// greeting.
var signatures = []signature{
	{name: "Postern", confidence: byName, greeting: `ESMTP Postern\b`},
	{name: "mox", confidence: byName, greeting: `ESMTP mox\b(?: (v?[0-9][\w.+-]*))?`},
	{name: "chasquid", confidence: byName, greeting: `ESMTP chasquid\b`},
	{name: "Postfix", confidence: byName, greeting: `ESMTP Postfix\b`},
	{name: "Exim", confidence: byName, greeting: `ESMTP Exim\b(?: ([0-9][\w.]*))?`},
	{name: "OpenSMTPD", confidence: byName, greeting: `ESMTP OpenSMTPD\b`},
	{name: "sendmail", confidence: byName, greeting: `ESMTP Sendmail\b(?: ([0-9][\w.]*))?`},
	{name: "Stalwart", confidence: byPublishedName, greeting: `\bStalwart ESMTP\b`, source: stalwartGreeting},
	{name: "Exchange", confidence: byPublishedName, greeting: `Microsoft ESMTP MAIL Service ready\b`, source: exchangeDialogue},

	// maddy is go-smtp with its own limit, 32 MiB a message.
	{name: "maddy", confidence: byStyle, greeting: ` ESMTP Service Ready$`, ehlo: `^Hello [^\n]*(?s:.*)\nSIZE 33554432\b`},
	{name: "go-smtp", confidence: byName, greeting: ` ESMTP Service Ready$`, ehlo: `^Hello \S`},
	{name: "go-smtp", confidence: byAmbiguousStyle, ehlo: `^Hello \S+\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\n`},

	{name: "chasquid", confidence: byStyle, ehlo: `Your hour of destiny has come`},
	{name: "Stalwart", confidence: byAmbiguousStyle, ehlo: `^\S+ you had me at EHLO\n`, source: stalwartEHLO},
	{name: "Exchange", confidence: byAmbiguousStyle, ehlo: `(?m)^X-ANONYMOUSTLS`, source: exchangeDialogue},
	{name: "nginx", confidence: byStyle, greeting: ` ESMTP ready$`, ehlo: `^\S+\n(?:\S.*\n)?STARTTLS$`},
	{name: "Postfix", confidence: byStyle, ehlo: `\nPIPELINING\nSIZE(?s:.*)\nSTARTTLS\n(?s:.*)ENHANCEDSTATUSCODES\n8BITMIME\nDSN\b`},
	{name: "sendmail", confidence: byAmbiguousStyle, ehlo: `, pleased to meet you\nENHANCEDSTATUSCODES\nPIPELINING\n`},
	{name: "OpenSMTPD", confidence: byAmbiguousStyle, ehlo: `, pleased to meet you\n8BITMIME\nENHANCEDSTATUSCODES\n`},
	{name: "Exim", confidence: byAmbiguousStyle, ehlo: `^\S+ Hello [^\n]+\nSIZE (?s:.*)\nPIPELINING\n`},
	{name: "mox", confidence: byAmbiguousStyle, ehlo: `\n8BITMIME\nLIMITS RCPTMAX=1000\n`},
}

// What could not be measured: the defaults in Stalwart's documentation and source, and a
// session in Microsoft's documentation.
const (
	stalwartGreeting = "https://stalw.art/docs/ref/object/mta-stage-connect"
	stalwartEHLO     = "https://github.com/stalwartlabs/smtp-proto/blob/main/src/response/generate.rs"
	exchangeDialogue = "https://learn.microsoft.com/en-us/exchange/mail-flow/test-smtp-with-telnet"
)

// match reports whether the server is of this kind, with its version if it says it.
func (s *signature) match(greeting, ehlo string) (version string, clues []string, ok bool) {
	for _, m := range []struct{ place, text, pattern string }{
		{"the greeting", greeting, s.greeting},
		{"the reply to EHLO", ehlo, s.ehlo},
	} {
		if m.pattern == "" {
			continue
		}
		found := regexp.MustCompile(m.pattern).FindStringSubmatch(m.text)
		if found == nil {
			return "", nil, false
		}
		if len(found) > 1 {
			version = found[1]
		}
		clues = append(clues, m.place+" has "+quoted(strings.TrimSpace(found[0])))
	}
	if s.source != "" {
		clues = append(clues, "not measured, from "+s.source)
	}
	return version, clues, true
}

// recognise recognises software by the greeting and the reply to EHLO, lines with or
// without their codes.
func recognise(greeting, ehlo []string) Software {
	greetingText, ehloText := withoutCodes(greeting), withoutCodes(ehlo)
	for i := range signatures {
		if version, clues, ok := signatures[i].match(greetingText, ehloText); ok {
			return Software{signatures[i].name, version, signatures[i].confidence, clues}
		}
	}
	return Software{}
}

// code matches the code of a reply line (RFC 5321, Section 4.2).
var code = regexp.MustCompile(`^[0-9]{3}[ -]`)

func withoutCodes(lines []string) string {
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = strings.TrimRight(code.ReplaceAllString(line, ""), " ")
	}
	return strings.Join(texts, "\n")
}

// adviceNames are the names under which there is advice for a kind of software, the most
// specific first: advice for Go programs applies to go-smtp servers.
var adviceNames = map[string][]string{
	"maddy":    {"maddy"},
	"go-smtp":  {"Go programs"},
	"chasquid": {"chasquid", "Go programs"},
	"mox":      {"mox", "Go programs"},
}

// pick returns the advice for this software, at most one; for software that was not
// recognised all advice.
func (s Software) pick(all []interop.Advice) []interop.Advice {
	if s.Name == "" {
		return all
	}
	names := adviceNames[s.Name]
	if names == nil {
		names = []string{s.Name}
	}
	for _, name := range append(slices.Clone(names), allSoftware) {
		if i := slices.IndexFunc(all, func(a interop.Advice) bool { return a.Software == name }); i >= 0 {
			return all[i : i+1]
		}
	}
	return nil
}

// forAll returns advice for all software.
func forAll(action string) []interop.Advice {
	return []interop.Advice{{Software: allSoftware, Action: action}}
}

// allSoftware marks advice for any server.
const allSoftware = "all servers"

// adviceOn returns the advice on a case for this software.
func (s Software) adviceOn(c *interop.Case) []interop.Advice {
	if s.Name == "Postern" {
		return []interop.Advice{{Software: "Postern", Action: cmp.Or(posternAdvice[c.ID], c.Remedy.Postern)}}
	}
	return s.pick(c.Remedy.OtherSoftware)
}

// posternAdvice is for faults that Postern has only if configured so; a case's remedy says
// what it does by default.
var posternAdvice = map[string]string{
	"early-ticket": "Set mode to \"own-write\", the default: the ticket leaves after the client's Finished. With \"stock\" each such sender fails once, and is answered in a more compatible mode next time.",
}
