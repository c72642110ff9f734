package main

import (
	"slices"
	"testing"
)

func TestWatchTellsChangesOnly(t *testing.T) {
	before := map[string]string{"a": "warning: A", "b": "critical: B", "c": "unclear: C"}
	now := map[string]string{"a": "warning: A", "b": "warning: B", "d": "critical: D"}
	want := []string{"new, warning: B", "new, critical: D", "gone, unclear: C"}
	if got := changes(before, now); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := changes(now, now); got != nil {
		t.Errorf("%q of nothing", got)
	}
}
