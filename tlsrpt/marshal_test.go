package tlsrpt_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	. "postern/tlsrpt"
)

// roundTrip marshals a report and parses it again: nothing but the warnings may change.
func roundTrip(t *testing.T, want *Report) {
	t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatalf("%v: %+v", err, want)
	}
	got, err := Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	unwarned := *want
	unwarned.Warnings, got.Warnings = nil, nil
	if !reflect.DeepEqual(got, &unwarned) {
		t.Fatalf("got  %+v\nwant %+v\n%s", got, unwarned, data)
	}
}

func TestMarshaledReportHasTheOrderOfTheRFC(t *testing.T) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, read(t, "testdata/complete.json")); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(parseFile(t, "testdata/complete.json"))
	if err != nil || !bytes.Equal(got, compact.Bytes()) {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, compact.Bytes())
	}
}

func TestUnknownFieldsSurviveARoundTrip(t *testing.T) {
	written, err := json.Marshal(parseFile(t, "testdata/unknown_fields.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	for data, into := range map[string]*any{string(written): &got, string(read(t, "testdata/unknown_fields.json")): &want} {
		if err := json.Unmarshal([]byte(data), into); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestEmptyReportSurvivesARoundTrip(t *testing.T) {
	roundTrip(t, &Report{})
	roundTrip(t, &Report{Policies: []PolicyResult{{Failures: []Failure{{}}}}})
}

// FuzzParse checks that each report survives a round trip and that all else is rejected with a sentinel error.
func FuzzParse(f *testing.F) {
	for _, file := range fixtures(f, "testdata/*.json") {
		data := read(f, file)
		f.Add(data)
		f.Add(zip(f, data))
	}
	for _, r := range rejected {
		f.Add([]byte(r.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := Parse(bytes.NewReader(data))
		checkError(t, err, report == nil)
		if err == nil {
			roundTrip(t, report)
			printable(t, report.Warnings)
		}
	})
}

// FuzzParseMail checks that each message gives a report or an error.
func FuzzParseMail(f *testing.F) {
	for _, file := range fixtures(f, "testdata/mail/*.eml") {
		f.Add(read(f, file))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMail(bytes.NewReader(data))
		checkError(t, err, m == nil)
		if err == nil {
			roundTrip(t, m.Report)
			printable(t, m.Warnings)
		}
	})
}

func TestExtraThatIsNoJSONIsAnError(t *testing.T) {
	broken := Extra{"x": json.RawMessage("{")}
	for where, report := range map[string]Report{
		"report":  {Extra: broken},
		"result":  {Policies: []PolicyResult{{Extra: broken}}},
		"policy":  {Policies: []PolicyResult{{Policy: Policy{Extra: broken}}}},
		"failure": {Policies: []PolicyResult{{Failures: []Failure{{Extra: broken}}}}},
		"summary": {Policies: []PolicyResult{{Extra: Extra{"summary": json.RawMessage("{")}}}},
	} {
		if text, err := report.MarshalJSON(); err == nil {
			t.Errorf("%s: written as %s", where, text)
		}
	}
}

// RFC 8460, Section 4.4 has failure-details only where something failed.
func TestPolicyWithoutFailuresHasNoDetails(t *testing.T) {
	written, err := json.Marshal(&Report{Policies: []PolicyResult{{Successful: 1}}})
	if err != nil || bytes.Contains(written, []byte("failure-details")) {
		t.Errorf("%v: %s", err, written)
	}
}
