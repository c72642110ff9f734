package dnssec

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The example of RFC 4034, Section 6.1, and labels that begin with another one.
func TestNamesHaveTheCanonicalOrder(t *testing.T) {
	inOrder := []string{
		".", "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", `a\001.example.`, "aa.example.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if order := compare(a, b); (order < 0) != (i < j) || (order == 0) != (i == j) {
				t.Errorf("%s and %s: %d", a, b, order)
			}
		}
	}
	if compare("A.Example.", "a.example.") != 0 {
		t.Error("the case of letters counts")
	}
	for _, invalid := range []string{strings.Repeat("a.", 200), strings.Repeat("a", 64) + ".example.", "a..example."} {
		if compare(invalid, ".") != 0 {
			t.Errorf("%s is a name", invalid)
		}
	}
}

// A gap is between the names of an NSEC record, and has neither of them (RFC 4034, Section 4.1.1).
func TestGapHasNeitherOfItsNames(t *testing.T) {
	gap := &dns.NSEC{Hdr: dns.RR_Header{Name: "b.example."}, NextDomain: "d.example."}
	last := &dns.NSEC{Hdr: dns.RR_Header{Name: "d.example."}, NextDomain: "example."}
	for name, want := range map[string][2]bool{
		"a.example.": {false, false}, "b.example.": {false, false}, "c.example.": {true, false}, "d.example.": {false, false}, "e.example.": {false, true},
	} {
		if got := [2]bool{covers(gap, name), covers(last, name)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
