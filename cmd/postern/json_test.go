package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"postern/internal/tlsrptexplain"
)

// Whoever reads our JSON with a program finds each field explained.
func TestEachJSONFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []any{
		handshakeJSON{}, negotiatedJSON{}, caseFoundJSON{}, senderJSON{}, countsJSON{}, senderHistoryJSON{}, dayJSON{}, pinJSON{}, decisionJSON{},
		probedJSON{}, hostJSON{}, addressJSON{}, senderRunJSON{}, findingJSON{},
		reportJSON{}, tlsrptexplain.DaySummary{}, addedJSON{},
		reportExplainedJSON{}, policyJSON{}, periodJSON{}, resultJSON{}, activityJSON{}, activitySenderJSON{}, recordsJSON{},
		explainedJSON{}, diagnosisJSON{}, zoneJSON{}, recordJSON{}, observationJSON{}, caseJSON{}, remedyJSON{}, sourceJSON{},
	} {
		kind := reflect.TypeOf(object)
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/json.md does not explain %s of %v", name, kind)
			}
		}
	}
}
