package txtrecord_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	. "postern/internal/txtrecord"
)

const version = "v=STSv1"

type field struct{ Name, Value string }

func TestFieldsComeInTheirOrder(t *testing.T) {
	got, err := Parse[field](version, "v=STSv1 ; b=1;\ta=x=y, z \t;b=2 ;")
	want := []field{{"b", "1"}, {"a", "x=y, z"}, {"b", "2"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestFindPassesOverOtherRecords(t *testing.T) {
	got := Find(version, []string{"", "v=STSv1", "v=STSv12; a=1", "v=STSv1;a=1", " v=STSv1;a=2"})
	if want := []string{"v=STSv1;a=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Find(version, nil); got != nil {
		t.Errorf("of no record found %q", got)
	}
	if got := Find(version, []string{"v=STSv1;a=1", "v=STSv1;"}); len(got) != 2 {
		t.Errorf("of two records found %q", got)
	}
}

func TestLargeRecordsAreNotRead(t *testing.T) {
	record := "v=STSv1;a="
	record += strings.Repeat("a", MaxSize-len(record))
	if _, err := Parse[field](version, record); err != nil {
		t.Error(err)
	}
	if _, err := Parse[field](version, record+"a"); err == nil {
		t.Errorf("%d bytes were read", MaxSize+1)
	}
}

// FuzzParse: what is read can be written, and is read back the same.
func FuzzParse(f *testing.F) {
	for _, record := range []string{
		"v=STSv1;a=1", "v=STSv1 \t; a=1 ; b= ;", "v=STSv1;;", "v=STSv1", "v=STSv1;a=\x00", "v=STSv1;a=é", "v=STSv1;_=1",
	} {
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record string) {
		fields, err := Parse[field](version, record)
		if err != nil || len(record) > MaxSize/3 { // written, a record may be longer
			return
		}
		again, err := Parse[field](version, Format(version, fields))
		if err != nil || len(again) == 0 || !reflect.DeepEqual(again, fields) {
			t.Fatalf("read %q, then %q (%v)", fields, again, err)
		}
	})
}
