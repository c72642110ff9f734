package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	. "postern/tlsrpt"
)

// rejected are inputs that are not reports, each for one reason.
var rejected = []struct{ text, fault string }{
	{"", "unexpected end"},
	{"null", "no array of policies"},
	{"[]", "cannot unmarshal array"},
	{"{}", "no array of policies"},
	{"<?xml version=\"1.0\"?><feedback/>", "invalid character '<'"}, // a DMARC report
	{`{"report-id":"1"}`, "no array of policies"},
	{`{"report-id":"1","policies":null}`, "no array of policies"},
	{`{"report-id":"1","policies":{}}`, "no array of policies"},
	{`{"report-id":"1","policies":[1]}`, "policies is not an array of objects"},
	{`{"report-id":"1","policies":[{"failure-details":{}}]}`, "policies[0].failure-details is not an array"},
	{`{"policies":[]}`, "no organization-name, date-range or report-id"},
	{`{"report-id":"1","policies":[]`, "unexpected end"},
	{`{"report-id":"1","policies":[]}{}`, "after top-level value"},
	{"\x1f\x8b", "gzip"},
	{"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xff\xff", "unexpected end"},
}

// Some senders leave out fields that RFC 8460 requires.
func TestAReportHasOneOfItsNames(t *testing.T) {
	for _, field := range []string{`"organization-name":"a"`, `"report-id":"1"`, `"date-range":{"start-datetime":"2025-03-10T00:00:00Z"}`} {
		if _, err := Parse(strings.NewReader(`{` + field + `,"policies":[{}]}`)); err != nil {
			t.Errorf("%s alone: %v", field, err)
		}
	}
}

func TestInputThatIsNoReportIsRejected(t *testing.T) {
	for _, r := range rejected {
		report, err := Parse(strings.NewReader(r.text))
		if report != nil || !errors.Is(err, ErrNotReport) || !strings.Contains(err.Error(), r.fault) {
			t.Errorf("%q: %+v, error %v, want one with %q", r.text, report, err, r.fault)
		}
	}
}

func TestUnmarshalReadsAReportOrNothing(t *testing.T) {
	r := Report{ID: "before"}
	if err := json.Unmarshal([]byte(`{"a":1}`), &r); !errors.Is(err, ErrNotReport) || r.ID != "before" {
		t.Errorf("%+v, %v", r, err)
	}
	if err := json.Unmarshal(read(t, "testdata/complete.json"), &r); err != nil || r.ID != "2025-03-10.41@sender.example" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFailedSessionsAreTheSumIfNoTotalIsGiven(t *testing.T) {
	failures := []Failure{{Sessions: 2}, {Sessions: 3}}
	for total, want := range map[int64]int64{0: 5, 1: 1, 7: 7} {
		p := PolicyResult{Failed: total, Failures: failures}
		if p.FailedSessions() != want || p.DetailedSessions() != 5 {
			t.Errorf("total %d: %d failed, %d detailed", total, p.FailedSessions(), p.DetailedSessions())
		}
	}
}

func TestTypesOfTheRFCAreKnown(t *testing.T) {
	for _, result := range []string{ // RFC 8460, Section 4.3
		"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
		"tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid",
	} {
		for _, policy := range []string{"tlsa", "sts", "no-policy-found"} { // Section 4.4
			report, err := Parse(strings.NewReader(`{"report-id":"1","policies":[{"policy":{"policy-type":"` + policy +
				`"},"failure-details":[{"result-type":"` + result + `"}]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range report.Warnings {
				if strings.Contains(w.Text, "not defined") {
					t.Errorf("%s, %s: %v", policy, result, w)
				}
			}
		}
	}
}

func TestParseReadsAllFieldsOfTheRFC(t *testing.T) {
	want := &Report{
		Organization: "Sender Example",
		Start:        time.Date(2025, 3, 10, 0, 0, 0, 0, time.UTC),
		End:          time.Date(2025, 3, 10, 23, 59, 59, 0, time.UTC),
		Contact:      "tls-reports@sender.example",
		ID:           "2025-03-10.41@sender.example",
		Policies: []PolicyResult{{
			Policy: Policy{
				Type:    PolicySTS,
				Strings: []string{"version: STSv1", "mode: enforce", "mx: mx.receiver.example", "max_age: 604800"},
				Domain:  "receiver.example",
				MXHosts: []string{"mx.receiver.example"},
			},
			Successful: 1207, Failed: 44,
			Failures: []Failure{{
				Result:         CertificateExpired,
				SendingMTA:     netip.MustParseAddr("2001:db8:5::17"),
				ReceivingMX:    "mx.receiver.example",
				ReceivingHELO:  "mx.receiver.example",
				ReceivingIP:    netip.MustParseAddr("203.0.113.9"),
				Sessions:       41,
				AdditionalInfo: "https://sender.example/reports/41",
				ReasonCode:     "CERT_HAS_EXPIRED",
			}, {
				Result:      STARTTLSNotSupported,
				SendingMTA:  netip.MustParseAddr("192.0.2.17"),
				ReceivingMX: "mx.receiver.example",
				Sessions:    3,
			}},
		}},
	}
	plain := read(t, "testdata/complete.json")
	for _, data := range [][]byte{plain, zip(t, plain)} {
		if got, err := Parse(bytes.NewReader(data)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, got  %+v\nwant %+v", err, got, want)
		}
	}
}

func TestFreeTextReasonCodeIsKept(t *testing.T) {
	failure := parseFile(t, "testdata/mail_ru_totals_differ.json").Policies[0].Failures[0]
	if failure.ReasonCode != "bad https response code: 404" {
		t.Errorf("%q", failure.ReasonCode)
	}
}

func TestTimesWithoutZoneAreUTC(t *testing.T) {
	report := parseFile(t, "testdata/microsoft_no_time_zone.json")
	if want := time.Date(2023, 2, 4, 0, 0, 0, 0, time.UTC); !report.Start.Equal(want) {
		t.Errorf("starts at %v, want %v", report.Start, want)
	}
}

func TestNullPolicyIsAnEmptyPolicy(t *testing.T) {
	report, err := Parse(strings.NewReader(`{"report-id":"1","policies":[null,{"failure-details":[null]}]}`))
	if err != nil || len(report.Policies) != 2 || len(report.Policies[1].Failures) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestUnknownTypesAreKept(t *testing.T) {
	result := parseFile(t, "testdata/unknown_types.json").Policies[0]
	if result.Policy.Type != "sts-next" || result.Failures[0].Result != "handshake-not-finished" {
		t.Errorf("%+v", result)
	}
}

func TestFieldsOfTheWrongTypeAreKept(t *testing.T) {
	report := parseFile(t, "testdata/wrong_types.json")
	result := report.Policies[0]
	failure := result.Failures[0]
	for got, want := range map[string]string{
		string(report.Extra["report-id"]):            `17`,
		string(report.Extra["date-range"]):           `{"start-datetime":"10 March"}`,
		string(result.Extra["summary"]):              `{"total-failure-session-count":"many"}`,
		string(failure.Extra["result-type"]):         `["a"]`,
		string(failure.Extra["sending-mta-ip"]):      `"unknown"`,
		strings.Join(result.Policy.Strings, "\n"):    "version: STSv1",
		failure.ReceivingIP.String():                 "203.0.113.9",
		report.End.Format(time.DateTime):             "2025-03-10 23:59:59",
		time.Unix(result.Successful, 0).Format("05"): "17",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestByteOrderMarkAndInvalidUTF8AreAccepted(t *testing.T) {
	for _, c := range []struct{ text, warning string }{
		{"\ufeff" + `{"report-id":"1","policies":[{}]}`, "begins with a byte order mark"},
		{`{"report-id":"` + "\xff" + `","policies":[{}]}`, "is not UTF-8: invalid bytes were replaced"},
	} {
		report, err := Parse(strings.NewReader(c.text))
		if err != nil || report.Warnings[0].String() != c.warning {
			t.Errorf("%q: %+v, %v", c.text, report, err)
		}
	}
}

func TestExtraIsValidUTF8(t *testing.T) {
	report, err := Parse(strings.NewReader(`{"report-id":"1","policies":[{}],"x":"` + "\xff" + `"}`))
	if err != nil || string(report.Extra["x"]) != "\"\ufffd\"" {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestGzipWithoutTrailerIsAccepted(t *testing.T) {
	zipped := zip(t, read(t, "testdata/complete.json"))
	report, err := Parse(bytes.NewReader(zipped[:len(zipped)-3]))
	if err != nil || len(report.Warnings) != 1 || report.Warnings[0].String() != "gzip data is damaged at its end: unexpected EOF" {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := Parse(bytes.NewReader(zipped[:len(zipped)/2])); !errors.Is(err, ErrNotReport) {
		t.Errorf("half a report: %v", err)
	}
}

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkError checks that there is an error exactly if there is no result, and that it is one of the two sentinels.
func checkError(t *testing.T, err error, none bool) {
	t.Helper()
	if (err != nil) != none || err != nil && !errors.Is(err, ErrNotReport) && !errors.Is(err, ErrTooLarge) {
		t.Fatalf("none: %t, error %v", none, err)
	}
}

func printable(t *testing.T, warnings []Warning) {
	t.Helper()
	for _, w := range warnings {
		if strings.ContainsFunc(w.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q is not printable", w)
		}
	}
}

var update = flag.Bool("update", false, "rewrite the .warnings files")

// Each fixture has one oddity of a sender. Its warnings are in a file of the same name.
func TestOdditiesOfSendersGiveWarnings(t *testing.T) {
	for _, file := range fixtures(t, "testdata/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			report := parseFile(t, file)
			compare(t, file, report.Warnings)
			roundTrip(t, report)
		})
	}
}

func TestReportIsFoundInUnusualMessages(t *testing.T) {
	for _, file := range fixtures(t, "testdata/mail/*.eml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := parseMail(t, file)
			compare(t, file, m.Warnings)
			if len(m.Report.Policies) != 1 || !strings.HasSuffix(m.Report.Policies[0].Policy.Domain, "receiver.example") {
				t.Errorf("read %+v", m.Report)
			}
		})
	}
}

func fixtures(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	return files
}

func compare(t *testing.T, file string, warnings []Warning) {
	t.Helper()
	var got strings.Builder
	for _, w := range warnings {
		got.WriteString(w.String() + "\n")
	}
	golden := strings.TrimSuffix(file, filepath.Ext(file)) + ".warnings"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || got.String() != string(want) {
		t.Errorf("warnings (%v)\n%s\nwant\n%s", err, got.String(), want)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseFile(t testing.TB, file string) *Report {
	t.Helper()
	report, err := Parse(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func parseMail(t testing.TB, file string) *Mail {
	t.Helper()
	m, err := ParseMail(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
