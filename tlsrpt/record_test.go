package tlsrpt_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"postern/internal/txtrecord"
	. "postern/tlsrpt"
)

var acceptedRecords = []string{
	"v=TLSRPTv1;rua=mailto:reports@example.com", // RFC 8460, Section 3.1
	"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
	"v=TLSRPTv1; rua=mailto:a@example.com , https://example.com/a%2Cb?c=d;",
	"v=TLSRPTv1; rua=mailto:a@example.com; x=1; rua=mailto:b@example.com",
	"v=TLSRPTv1; rua=mailto:a%21b@example.com",
	"v=TLSRPTv1; rua=https://example.com/~postmaster",
}

var rejectedRecords = []struct{ text, fault string }{
	{"", "must begin"},
	{"v=TLSRPTv2; rua=mailto:a@example.com", "must begin"},
	{"v=tlsrptv1; rua=mailto:a@example.com", "must begin"},
	{"v=TLSRPTv1;", "is empty"},
	{"v=TLSRPTv1; x=1", "no rua"},
	{"v=TLSRPTv1; RUA=mailto:a@example.com", "no rua"},
	{"v=TLSRPTv1; rua=", "write mailto:"},
	{"v=TLSRPTv1; rua=mailto:", "no address"},
	{"v=TLSRPTv1; rua=mailto:a", "missing '@'"},
	{"v=TLSRPTv1; rua=a@example.com", "write mailto:"},
	{"v=TLSRPTv1; rua=http://example.com/", "write mailto:"},
	{"v=TLSRPTv1; rua=https:example.com", "write mailto:"},
	{"v=TLSRPTv1; rua=mailto:a@example.com,", "write mailto:"},
	{"v=TLSRPTv1; rua=https://[2001:db8::1/tlsrpt", "missing ']'"},
	{"v=TLSRPTv1; rua=mailto:a@example.com!10m", "percent-encode"}, // as DMARC has it
	{"v=TLSRPTv1; rua=mailto:a@example.com mailto:b@example.com", "percent-encode"},
	{"v=TLSRPTv1; rua=mailto:%zz@example.com", "invalid URL escape"},
	{"v=TLSRPTv1; rua=mailto:a@example.com; x=a=b", "not a value"},
	{"v=TLSRPTv1; rua=mailto:a@example.com; x=\x1b", "printable ASCII"},
}

func TestRecordsOfTheRFC(t *testing.T) {
	for text, want := range map[string]string{
		acceptedRecords[0]: "mailto:reports@example.com",
		acceptedRecords[1]: "https://reporting.example.com/v1/tlsrpt",
	} {
		if r, err := ParseRecord(text); err != nil || !reflect.DeepEqual(r, &Record{RUA: []string{want}}) {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

func TestRecordCollectsAllURIs(t *testing.T) {
	r, err := ParseRecord(acceptedRecords[3])
	want := &Record{
		RUA:        []string{"mailto:a@example.com", "mailto:b@example.com"},
		Extensions: []Field{{Name: "x", Value: "1"}},
	}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if want := "v=TLSRPTv1; rua=mailto:a@example.com,mailto:b@example.com; x=1;"; r.String() != want {
		t.Errorf("written as %q", r)
	}
}

func TestInvalidRecordsAreRejectedWithTheReason(t *testing.T) {
	for _, r := range rejectedRecords {
		got, err := ParseRecord(r.text)
		if got != nil || !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), r.fault) {
			t.Errorf("%q: error %v, want one with %q", r.text, err, r.fault)
		}
	}
}

func TestRecordsOfAllFormsAreAccepted(t *testing.T) {
	for _, text := range acceptedRecords {
		if r, err := ParseRecord(text); err != nil || len(r.RUA) == 0 {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

func TestRecordIsFoundAmongOthers(t *testing.T) {
	r, err := FindRecord([]string{"v=TLSRPTv2;rua=x", acceptedRecords[0]})
	if err != nil || len(r.RUA) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := FindRecord(acceptedRecords); !errors.Is(err, ErrMultipleRecords) {
		t.Error(err)
	}
}

func TestRecordThatWouldNotRoundTripIsNotMarshaled(t *testing.T) {
	rua := []string{"mailto:a@example.com"}
	for _, r := range []Record{
		{},
		{RUA: []string{"mailto:a@example.com,mailto:b@example.com"}},
		{RUA: []string{"mailto:a@example.com; x=1"}},
		{RUA: rua, Extensions: []Field{{Name: "rua", Value: "x"}}},
		{RUA: rua, Extensions: []Field{{Name: "x", Value: strings.Repeat("a", txtrecord.MaxSize)}}},
	} {
		if text, err := r.MarshalText(); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.60q, %v", text, err)
		}
	}
}

func TestLargestRecordIsMarshaled(t *testing.T) {
	r := Record{RUA: []string{"mailto:a@example.com"}, Extensions: []Field{{Name: "x"}}}
	r.Extensions[0].Value = strings.Repeat("a", 4096-len(r.String()))
	if text, err := r.MarshalText(); err != nil || len(text) != 4096 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	r.Extensions[0].Value += "a"
	if _, err := r.MarshalText(); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "record of 4097 bytes is longer than 4096") {
		t.Error(err)
	}
}

// FuzzParseRecord checks that each record survives a round trip.
func FuzzParseRecord(f *testing.F) {
	for _, text := range acceptedRecords {
		f.Add(text)
	}
	for _, r := range rejectedRecords {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil || len(r.String()) > txtrecord.MaxSize {
			return
		}
		written, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseRecord(string(written)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("wrote %q, read %+v (%v), want %+v", written, again, err, r)
		}
	})
}
