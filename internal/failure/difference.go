package failure

import (
	"fmt"
	"strings"

	"postern/handshake"
	"postern/internal/ledger"
)

// A Difference is what a failed and a completed handshake of one sender have of the same kind.
type Difference struct {
	What              string
	Failed, Completed string // "" if unknown
}

// Differs reports whether both are known and not the same.
func (d Difference) Differs() bool {
	return d.Failed != "" && d.Completed != "" && d.Failed != d.Completed
}

// Differences compares f with f.Completed: the client, the TLS mode and what was negotiated, and
// where they differ also the messages, if those of both are stored.
func (f Failure) Differences() []Difference {
	if f.Completed == nil {
		return nil
	}
	c := f.Completed
	all := []Difference{
		{"Address", f.Address.String(), c.Address.String()},
		{modeName, modeOf(f.Handshake), modeOf(*c)},
		{"Fingerprint (JA4)", f.Fingerprint, c.Fingerprint},
	}
	switch {
	case f.Messages != nil && f.CompletedMessages != nil:
		all = append(all, compareMessages(f.Messages, f.CompletedMessages)...)
	case f.Fingerprint != c.Fingerprint:
		all = append(all, offered(f.Fingerprint, c.Fingerprint)...)
	}
	version, suite, group, session := f.negotiated()
	resumed := "full handshake"
	if c.Outcome == ledger.Resumed {
		resumed = "resumed a session"
	}
	return append(all,
		Difference{"TLS version", version, named(c.Version)},
		Difference{"Cipher suite", suite, named(c.Suite)},
		Difference{"Group", group, named(c.Group)},
		Difference{"Session", session, resumed},
	)
}

const modeName = "TLS mode"

// negotiated returns what the server chose in the failed handshake, as far as it came.
func (f Failure) negotiated() (version, suite, group, session string) {
	t := f.Messages
	if t == nil || t.ServerHello == nil {
		return named(f.Version), named(f.Suite), named(f.Group), ""
	}
	session = "full handshake"
	switch {
	case t.ServerHello.Resumed:
		session = "resumed a session"
	case t.ClientHello != nil && (t.ClientHello.PSK || t.ClientHello.TicketTLS12):
		session = "full handshake; the client offered a session"
	}
	return named(t.ServerHello.Version), named(t.ServerHello.Suite), named(t.ServerHello.Group), session
}

// named returns the name of a TLS parameter, nothing for 0.
func named[N interface {
	handshake.Version | handshake.Suite | handshake.Group
	fmt.Stringer
}](n N) string {
	if n == 0 {
		return ""
	}
	return n.String()
}

func modeOf(h ledger.Handshake) string {
	if h.Fingerprint == "" {
		return ""
	}
	return h.Mode.String()
}

// offered says in words where two fingerprints differ: JA4 has the version, whether there is an
// SNI, and the numbers of suites and extensions in its first part, and hashes of them in the others
// (https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md).
func offered(failed, completed string) []Difference {
	a, b := strings.Split(failed, "_"), strings.Split(completed, "_")
	if len(a) != 3 || len(b) != 3 || len(a[0]) != ja4Counts || len(b[0]) != ja4Counts {
		return nil
	}
	parts := []Difference{
		{"Offered: highest version", ja4Version(a[0]), ja4Version(b[0])},
		{"Offered: cipher suites", a[0][4:6] + ", hash " + a[1], b[0][4:6] + ", hash " + b[1]},
		{"Offered: extensions", a[0][6:8] + ", hash " + a[2], b[0][6:8] + ", hash " + b[2]},
	}
	var differing []Difference
	for _, part := range parts {
		if part.Differs() {
			differing = append(differing, part)
		}
	}
	return differing
}

// ja4Counts is the length of the first part of a fingerprint, as in t13d1516h2.
const ja4Counts = 10

func ja4Version(part string) string {
	switch part[1:3] {
	case "13", "12", "11", "10":
		return "TLS " + part[1:2] + "." + part[2:3]
	case "s3":
		return "SSL 3.0"
	}
	return "other"
}
