package failure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"postern/handshake"
)

// compareMessages returns where the messages of two handshakes differ: in what the client offered,
// and in what the server sent before the client's Finished.
func compareMessages(failed, completed *handshake.Transcript) (differing []Difference) {
	var all []Difference
	if a, b := failed.ClientHello, completed.ClientHello; a != nil && b != nil {
		all = []Difference{
			listed("Offered: TLS versions", a.Versions, b.Versions),
			listed("Offered: cipher suites", a.Suites, b.Suites),
			listed("Offered: groups", a.Groups, b.Groups),
			listed("Offered: key shares", a.KeyShares, b.KeyShares),
			listed("Offered: signature schemes", a.Signatures, b.Signatures),
			listed("Offered: extensions", a.Extensions, b.Extensions),
			{"Offered: ALPN", strings.Join(a.ALPN, ", "), strings.Join(b.ALPN, ", ")},
			{"Server name (SNI)", cmp.Or(a.ServerName, "none"), cmp.Or(b.ServerName, "none")},
		}
	}
	all = append(all, Difference{"Server, before the client’s Finished", flight(failed), flight(completed)})
	for _, d := range all {
		if d.Differs() {
			differing = append(differing, d)
		}
	}
	return differing
}

// listed compares two lists of a ClientHello, without the values at random of RFC 8701.
func listed[N interface {
	~uint16
	fmt.Stringer
}](what string, failed, completed []N) Difference {
	a := slices.DeleteFunc(slices.Clone(failed), handshake.IsGREASE[N])
	b := slices.DeleteFunc(slices.Clone(completed), handshake.IsGREASE[N])
	d := Difference{what, lengthOf(a, b), lengthOf(b, a)}
	if !d.Differs() && !slices.Equal(a, b) {
		d.Failed += ", in another order"
	}
	return d
}

// maxOnly is how many values of a list are named.
const maxOnly = 6

// lengthOf says how many values a list has, and which of them another has not.
func lengthOf[N interface {
	~uint16
	fmt.Stringer
}](list, other []N) string {
	var only []string
	for _, n := range list {
		if !slices.Contains(other, n) {
			only = append(only, n.String())
		}
	}
	text := fmt.Sprint(len(list))
	if len(only) > 0 {
		text += ", only here " + strings.Join(only[:min(len(only), maxOnly)], ", ")
	}
	if more := len(only) - maxOnly; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// flight names the messages of the server before the client's Finished.
func flight(t *handshake.Transcript) string {
	var names []string
	for _, m := range t.Messages {
		switch {
		case m.From == handshake.Client && m.Type == handshake.TypeFinished:
			return strings.Join(names, ", ")
		case m.From == handshake.Server && m.Type != handshake.TypeChangeCipherSpec: // of no meaning in TLS 1.3
			names = append(names, m.Type.String())
		}
	}
	return strings.Join(names, ", ")
}
