package ledger

import (
	"testing"
	"time"
)

func TestTrendHasEachDayOfEachSender(t *testing.T) {
	at := func(h Handshake, days int) Handshake {
		h.At = noon.Add(time.Duration(days) * 24 * time.Hour)
		return h
	}
	other := with(success("d"), func(h *Handshake) { h.EHLO = "mail.other.example" })
	r := reader(t, written(t, at(success("a"), -TrendDays), at(success("b"), 1-TrendDays), at(failure("c"), 0), at(other, 0), at(success("e"), 1)))
	senders, err := r.Senders(t.Context(), Filter{})
	if err != nil || len(senders) != 2 {
		t.Fatalf("senders %+v, %v", senders, err)
	}
	trends, err := r.Trends(t.Context(), senders, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []Trend{{0: {Full: 1}, TrendDays - 1: {Failed: 1}}, {TrendDays - 1: {Full: 1}}}
	for i, trend := range trends {
		if trend != want[i] {
			t.Errorf("%s: %+v, want %+v", senders[i].EHLO, trend, want[i])
		}
	}
}

func TestSendersThatFailNowComeFirst(t *testing.T) {
	scanner := with(failure("c"), func(h *Handshake) {
		h.EHLO, h.Diagnoses = "scanner.example", []Diagnosis{{Case: Scanner, Confidence: 1}}
	})
	broken := with(failure("d"), func(h *Handshake) { h.EHLO = "mail.broken.example" })
	before := with(success("e"), func(h *Handshake) { h.EHLO, h.At = broken.EHLO, noon.Add(-time.Hour) })
	r := reader(t, written(t, success("a"), success("b"), success("b2"), success("b3"), scanner, scanner, before, broken))
	senders, err := r.Senders(t.Context(), Filter{Since: noon.Add(-24 * time.Hour), FailingFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		ehlo, found string
		failing     int64
	}{{broken.EHLO, "early-ticket", 1}, {scanner.EHLO, Scanner, 2}, {"mail.sender.example", "", 0}} {
		if s := senders[i]; s.EHLO != want.ehlo || s.Case != want.found || s.Failing != want.failing {
			t.Errorf("sender %d: %+v, want %+v", i, s, want)
		}
	}
}
