package probe

import (
	"slices"
	"testing"
)

func TestChangesAreNewAndResolvedProblemsOnly(t *testing.T) {
	before := Problems{"a": "warning: A", "b": "critical: B", "c": "unclear: C"}
	now := Problems{"a": "warning: A", "b": "warning: B", "d": "critical: D"}
	want := []string{"new, warning: B", "new, critical: D", "resolved, unclear: C"}
	if got := before.Changes(now); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := now.Changes(now); got != nil {
		t.Errorf("%q of nothing", got)
	}
}
