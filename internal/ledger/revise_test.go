package ledger

import (
	"reflect"
	"testing"
)

func TestRevisionReplacesTheDiagnoses(t *testing.T) {
	revised := []Diagnosis{{"certificate-refused", 0.85, []string{"it closed in another mode too"}}, {"other", 0.1, []string{}}}
	const why = "early-ticket (likely), until session B of the same sender showed more"
	r := reader(t, written(t,
		failure("A"),
		failure("B"),
		Revision{Session: "A", Diagnoses: revised, Why: why},
		Revision{Session: "none", Why: why},
		success("C"),
		Revision{Session: "C", Diagnoses: revised, Why: why}, // it has not failed
	))
	got, err := r.Handshake(t.Context(), "A")
	if err != nil || !reflect.DeepEqual(got.Diagnoses, revised) || got.Revised != why || len(got.Transcript) == 0 {
		t.Errorf("A: %+v, %v", got, err)
	}
	for id, want := range map[string]int{"early-ticket": 1, "certificate-refused": 1, "other": 0} {
		found, err := r.Handshakes(t.Context(), Filter{Case: id, Since: noon.Add(-day)})
		if err != nil || len(found) != want {
			t.Errorf("case %s: %d handshakes, %v, want %d", id, len(found), err, want)
		}
	}
	for _, session := range []string{"B", "C"} {
		if got, err := r.Handshake(t.Context(), session); err != nil || got.Revised != "" {
			t.Errorf("%s: %+v, %v", session, got, err)
		}
	}
}
