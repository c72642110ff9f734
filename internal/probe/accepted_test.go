package probe

import (
	"slices"
	"testing"
)

func TestAcceptedProblemsAreNotices(t *testing.T) {
	known, err := ParseAccepted("# ours\n\nMX.example.org. untrusted # until May\nmx.example.org tls13\nmx.example.net expired\n")
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{
		Target:   "mx.example.org",
		Findings: []Finding{{ID: "expired", Severity: Critical}},
		Hosts: []*Host{{Addresses: []*Address{{Findings: []Finding{
			{ID: "untrusted", Severity: Warning}, {ID: "stopped", Severity: Unclear}, {ID: "tls13", Severity: Notice}, {ID: "healthy"},
		}}}}},
	}
	known.Mark(r)
	known.Mark(r) // changes nothing any more
	if f := r.Findings[0]; f.Severity != Critical || f.Accepted != OK {
		t.Errorf("what is accepted at another target: %+v", f)
	}
	got := r.Hosts[0].Addresses[0].Findings
	ids := []string{got[0].ID, got[1].ID, got[2].ID, got[3].ID}
	if !slices.Equal(ids, []string{"stopped", "untrusted", "tls13", "healthy"}) {
		t.Errorf("the worst is not first: %v", ids)
	}
	if f := got[1]; f.Severity != Notice || f.Accepted != Warning {
		t.Errorf("an accepted warning: %+v", f)
	}
	if f := got[2]; f.Accepted != OK {
		t.Errorf("a notice is no problem: %+v", f)
	}
}

func TestBadAcceptedFiles(t *testing.T) {
	for _, text := range []string{"untrusted", "mx.example.org untrusted why", "mx.example.org\nuntrusted"} {
		if known, err := ParseAccepted(text); err == nil {
			t.Errorf("%q is %v", text, known)
		}
	}
}
