package mtasts_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	. "postern/mtasts"
)

func TestRecordOfTheRFC(t *testing.T) {
	const published = "v=STSv1; id=20160831085700Z;"
	r, err := ParseRecord(published)
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != "20160831085700Z" || r.Extensions != nil {
		t.Errorf("read %+v", r)
	}
	if r.String() != published {
		t.Errorf("written as %q", r)
	}
}

func TestRecordKeepsFieldsItDoesNotKnow(t *testing.T) {
	r, err := ParseRecord("v=STSv1; ext=a:b; id=1; ext=c; other=d")
	if err != nil {
		t.Fatal(err)
	}
	want := &Record{ID: "1", Extensions: []Field{{Name: "ext", Value: "a:b"}, {Name: "other", Value: "d"}}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestFirstIDOfARecordCounts(t *testing.T) {
	r, err := ParseRecord("v=STSv1; id=first; id=second")
	if err != nil || r.ID != "first" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAcceptedRecordsAreReadBackTheSame(t *testing.T) {
	for _, text := range acceptedRecords {
		if r, err := ParseRecord(text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else {
			sameRecord(t, r)
		}
	}
}

func sameRecord(t *testing.T, r *Record) {
	t.Helper()
	text, err := r.MarshalText()
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	again, err := ParseRecord(string(text))
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Fatalf("wrote %q, read %+v (%v), want %+v", text, again, err, r)
	}
}

func TestRejectedRecordsNameTheirFault(t *testing.T) {
	for _, r := range rejectedRecords {
		_, err := ParseRecord(r.text)
		faulty(t, r, err)
	}
}

func faulty(t *testing.T, r rejected, err error) {
	t.Helper()
	if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), r.fault) {
		t.Errorf("%q: error %v, want one that says %q", r.text, err, r.fault)
	}
}

func TestRecordIsFoundAmongOthers(t *testing.T) {
	r, err := FindRecord([]string{"v=spf1 -all", "v=STSv1", "v=STSv1; id=1", "v=STSv10; id=2"})
	if err != nil || r.ID != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := FindRecord([]string{"v=spf1 -all"}); !errors.Is(err, ErrNoRecord) {
		t.Errorf("no record: %v", err)
	}
	if _, err := FindRecord([]string{"v=STSv1; id=1", "v=STSv1; id=1"}); !errors.Is(err, ErrMultipleRecords) {
		t.Errorf("two records: %v", err)
	}
}

func TestLargestRecordIsWritten(t *testing.T) {
	r := &Record{ID: "1", Extensions: []Field{{Name: "x", Value: "a"}}}
	r.Extensions[0].Value = strings.Repeat("a", 4096-len(r.String())+1)
	if text, err := r.MarshalText(); err != nil || len(text) != 4096 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	r.Extensions[0].Value += "a"
	if _, err := r.MarshalText(); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "4097 bytes: senders read at most 4096") {
		t.Errorf("a byte more: %v", err)
	}
}

func TestRecordThatCannotBeReadBackIsNotWritten(t *testing.T) {
	for _, r := range []Record{
		{},
		{ID: "a;b"},
		{ID: "1", Extensions: []Field{{Name: "id", Value: "2"}}},
		{ID: "1", Extensions: []Field{{Name: "v", Value: "2"}}},
		{ID: "1", Extensions: []Field{{Name: "x", Value: "1"}, {Name: "x", Value: "2"}}},
		{ID: "1", Extensions: []Field{{Name: "x", Value: "a b"}}},
		{ID: "1", Extensions: []Field{{Name: "x", Value: strings.Repeat("a", 4096)}}},
	} {
		if text, err := r.MarshalText(); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.60q, %v", text, err)
		}
	}
}
