package jsonout

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
		Handshake{}, Negotiated{}, ledger.Diagnosis{}, ledger.Sender{}, ledger.Counts{}, SenderHistory{}, Day{}, Refusal{}, fallback.Pin{}, fallback.Decision{},
		DomainHealth{}, Area{}, Examination{}, Probed{}, Host{}, Address{}, SenderRun{}, Finding{},
		Report{}, tlsrptexplain.DaySummary{}, Added{},
		ReportExplained{}, Policy{}, Period{}, Result{}, Activity{}, ActivitySender{}, Records{},
		Status{}, StatusCard{}, StatusStep{}, Version{},
		Explained{}, Log{}, Diagnosis{}, Zone{}, dnsrecords.Record{}, dnsrecords.Result{}, interop.Observation{}, Case{}, interop.Advice{}, interop.Source{},
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
