package tlsrptexplain

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/tlsrpt"
)

// Whatever a report contains, its explanation is short, has a next step, and contains no
// control characters.
func FuzzExplain(f *testing.F) {
	seeds, err := filepath.Glob("../../tlsrpt/testdata/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seed reports: %v", err)
	}
	for _, name := range seeds {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, "big.example", true)
		f.Add(content, "a\x1b[31m\u202eb.example", false)
	}
	f.Fuzz(func(t *testing.T, content []byte, submitter string, trusted bool) {
		report, err := tlsrpt.Parse(bytes.NewReader(content))
		if err != nil {
			return
		}
		x := Explainer{
			Ledger:   &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 3)}},
			Resolver: fakeDNS{}, Prober: &fakeProber{findings: []probe.Finding{critical("expired")}, hosts: []string{"mx.receiver.example"}},
		}
		e, err := x.Explain(t.Context(), Question{Report: report, Submitter: submitter, Verified: trusted, Hostname: "mx.receiver.example", Now: october})
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{e.Activity.Text(), strings.Join(e.Records.Lines(), " "), e.Conclusion.Cause, e.Conclusion.Next}
		for _, r := range e.Results {
			texts = append(texts, r.Change.Text())
			for _, s := range r.Counts {
				texts = append(texts, s.Text())
			}
		}
		for _, text := range texts {
			if text == "" || len(text) > 4000 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("%d bytes: %.200q", len(text), text)
			}
		}
	})
}
