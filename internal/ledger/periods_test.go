package ledger

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// readPeriods returns what happened in the span as one text.
func readPeriods(t *testing.T, r *Reader, in Span, length time.Duration) string {
	t.Helper()
	found, err := r.Periods(t.Context(), in, length)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, p := range found {
		fmt.Fprintf(&text, "%s: %d full %d resumed %d plaintext", p.Start.Format("02 15:04"), p.Full, p.Resumed, p.Plaintext)
		for _, id := range slices.Sorted(maps.Keys(p.Failed)) {
			fmt.Fprintf(&text, " %d %s", p.Failed[id], id)
		}
		fmt.Fprintf(&text, " %d deferred %d refused\n", p.Deferred, p.Refused)
	}
	return text.String()
}

func TestPeriodsSumWhatHappened(t *testing.T) {
	t.Parallel()
	at := func(h Handshake, after time.Duration) Handshake {
		h.At = h.At.Add(after)
		return h
	}
	deferral := refusal(noon.Add(time.Minute), "192.0.2.0/24", greylisted)
	deferral.Count = 3
	r := reader(t, written(t,
		at(success("A"), -time.Second), // in the half hour before
		success("B"),
		with(success("C"), func(h *Handshake) { h.Outcome = Resumed }),
		failure("D"),
		at(failure("E"), 29*time.Minute+59*time.Second),
		with(failure("F"), func(h *Handshake) { h.Diagnoses = nil }),
		with(failure("probe"), func(h *Handshake) { h.Probe = true }),
		Revision{Session: "E", Diagnoses: []Diagnosis{{Case: "other", Confidence: 0.3}, {Case: "certificate-refused", Confidence: 0.8}}},
		Revision{Session: "probe"},
		deferral, refusal(noon.Add(time.Minute), "192.0.2.0/24", noMailbox),
		with(success("G"), func(h *Handshake) { h.Outcome, h.At = Plaintext, noon.Add(day) }),
	))
	const first = "29 12:00: 1 full 1 resumed 0 plaintext 1 certificate-refused 1 early-ticket 1 unknown 3 deferred 1 refused\n"
	for what, test := range map[string]struct {
		in     Span
		length time.Duration
		want   string
	}{
		"half hours": {Span{From: noon.Add(-time.Minute)}, ShortPeriod, "29 11:30: 1 full 0 resumed 0 plaintext 0 deferred 0 refused\n" + first +
			"30 12:00: 0 full 0 resumed 1 plaintext 0 deferred 0 refused\n"},
		"a span in one": {Span{From: noon.Add(time.Minute), To: noon.Add(2 * time.Minute)}, ShortPeriod, first},
		"until one":     {Span{From: noon.Add(time.Minute), To: noon.Add(24 * time.Hour)}, ShortPeriod, first},
		"days": {Span{}, 24 * time.Hour, "29 00:00: 2 full 1 resumed 0 plaintext 1 certificate-refused 1 early-ticket 1 unknown 3 deferred 1 refused\n" +
			"30 00:00: 0 full 0 resumed 1 plaintext 0 deferred 0 refused\n"},
		"nothing": {Span{From: noon.Add(2 * day), To: noon.Add(3 * day)}, 3 * time.Hour, ""},
	} {
		if got := readPeriods(t, r, test.in, test.length); got != test.want {
			t.Errorf("%s:\n%swant\n%s", what, got, test.want)
		}
	}
}

// Of cases that are equally likely the same one leads in the log, the lists and the sums.
func TestEquallyLikelyCasesHaveOneLeader(t *testing.T) {
	t.Parallel()
	tied := with(failure("A"), func(h *Handshake) {
		h.Diagnoses = []Diagnosis{{"large-ticket", 0.5, []string{}}, {"early-ticket", 0.5, []string{}}, {"big-hello", 0.4, []string{}}}
	})
	r := reader(t, written(t, tied))
	read, err := r.Handshake(t.Context(), "A")
	if err != nil || tied.Case() != "early-ticket" || read.Case() != "early-ticket" || read.Diagnoses[0].Case != "early-ticket" {
		t.Errorf("%s when it is added; read: %+v, %v", tied.Case(), read.Diagnoses, err)
	}
	periods, err := r.Periods(t.Context(), Span{From: noon, To: noon.Add(time.Minute)}, ShortPeriod)
	if err != nil || len(periods) != 1 || periods[0].Failed["early-ticket"] != 1 {
		t.Errorf("%+v, %v", periods, err)
	}
}

func TestEventsOfNoChangeAreNotStored(t *testing.T) {
	t.Parallel()
	event := func(kind EventKind, subject, text string) Event {
		return Event{At: noon, Kind: kind, Subject: subject, Text: text}
	}
	r := reader(t, written(t,
		event(CertificateChanged, "a.pem", "one"), event(CertificateChanged, "b.pem", "two"),
		event(CertificateChanged, "a.pem", "one"), event(CertificateChanged, "b.pem", "one"),
		event(Reloaded, "", "reloaded"), event(Reloaded, "", "reloaded"), event(VersionChanged, "", "one"),
	))
	found, err := r.Events(t.Context(), Span{From: noon, To: noon.Add(time.Millisecond)}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range found {
		got = append(got, fmt.Sprint(e.Kind, " ", e.Subject, " ", e.Text))
	}
	want := []string{"version  one", "reload  reloaded", "reload  reloaded", "certificate b.pem one", "certificate b.pem two", "certificate a.pem one"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if found, err := r.Events(t.Context(), Span{To: noon}, 100); err != nil || len(found) > 0 {
		t.Errorf("before noon: %v, %v", found, err)
	}
}

func TestReportsAreSummedByDay(t *testing.T) {
	t.Parallel()
	good := signed("good")
	good.Failed = 0
	undated := posted("undated") // counts on the day of receipt
	undated.Start, undated.End = time.Time{}, time.Time{}
	undated.Address = netip.MustParseAddr("198.51.100.7")
	future := posted("future")
	future.Start = noon.Add(100 * day)
	path, _ := reported(t, signed("a"), good, posted("b"), undated, future)
	found, err := reader(t, path).ReportDays(t.Context(), Span{From: noon.Add(-2 * day), To: noon})
	if err != nil {
		t.Fatal(err)
	}
	today := noon.Truncate(24 * time.Hour)
	want := []ReportDay{
		{today.Add(-day), false, 1, 1, 5, 7},
		{today.Add(-day), true, 2, 1, 10, 7},
		{today, false, 2, 2, 10, 14},
	}
	if !slices.Equal(found, want) {
		t.Errorf("%+v\nwant %+v", found, want)
	}
}
