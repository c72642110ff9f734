package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"postern/internal/dnsrecords"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/tlsrptexplain"
	"postern/interop"
)

func TestJSONFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []any{
		handshakeJSON{}, negotiatedJSON{}, ledger.Diagnosis{}, ledger.Sender{}, ledger.Counts{}, senderHistoryJSON{}, dayJSON{}, refusalJSON{}, fallback.Pin{}, fallback.Decision{},
		probedJSON{}, hostJSON{}, addressJSON{}, senderRunJSON{}, findingJSON{},
		reportJSON{}, tlsrptexplain.DaySummary{}, addedJSON{},
		reportExplainedJSON{}, policyJSON{}, periodJSON{}, resultJSON{}, activityJSON{}, activitySenderJSON{}, recordsJSON{},
		explainedJSON{}, logJSON{}, diagnosisJSON{}, zoneJSON{}, dnsrecords.Record{}, dnsrecords.Result{}, interop.Observation{}, caseJSON{}, interop.Advice{}, interop.Source{},
	} {
		kind := reflect.TypeOf(object)
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/json.md does not explain %s of %v", name, kind)
			}
		}
	}
}
