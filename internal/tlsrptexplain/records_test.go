package tlsrptexplain

import (
	"slices"
	"testing"

	"postern/internal/probe"
)

// What was not checked is not without problems.
func TestInconclusiveChecksAreSaid(t *testing.T) {
	down := probe.Finding{ID: "unreachable", Severity: probe.Unclear, Title: "Cannot connect to the server"}
	for name, tt := range map[string]struct {
		findings []probe.Finding
		want     []string
	}{
		"all checked": {nil, []string{"No problems found."}},
		"one not":     {[]probe.Finding{down}, []string{"No problems found where the probe could check.", "Cannot connect to the server (inconclusive)."}},
		"one wrong":   {[]probe.Finding{critical("expired"), down}, []string{"It is expired (critical).", "Cannot connect to the server (inconclusive)."}},
	} {
		e := explain(t, Explainer{Prober: &fakeProber{findings: tt.findings}}, nil)
		if got := e.Records.Lines(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
