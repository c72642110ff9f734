package dnssec

import "testing"

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
}
