package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// alertsAfter stores alerts and returns what a reader finds.
func alertsAfter(t *testing.T, path string, f AlertFilter, alerts ...Alert) []Alert {
	t.Helper()
	book := Open(path, Options{})
	for _, a := range alerts {
		book.PutAlert(a)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := reader(t, path).Alerts(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAlertsOpenOnesFirst(t *testing.T) {
	path := empty(t)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	found := alertsAfter(t, path, AlertFilter{Since: now.Add(-time.Hour)},
		Alert{ID: 1, Kind: "next-hop-down", Ended: now.Add(-2 * time.Hour)},
		Alert{ID: 2, Subject: strings.Repeat("x", 1000)},
		Alert{ID: 3, Ended: now},
		Alert{ID: 4},
		Alert{ID: 4, Text: "again"},
	)
	if len(found) != 3 || found[0].ID != 4 || found[0].Text != "again" || found[1].ID != 2 || found[2].ID != 3 {
		t.Errorf("found %+v", found)
	}
	if n := len(found[1].Subject); n > maxName {
		t.Errorf("the subject has %d bytes", n)
	}
}

// The server that puts an alert again does not know yet that it was acknowledged.
func TestAcknowledgementStays(t *testing.T) {
	path := empty(t)
	alertsAfter(t, path, AlertFilter{}, Alert{ID: 1}, Alert{ID: 2, Ended: time.Now()})
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for range 2 {
		if err := AcknowledgeAlert(t.Context(), path, 1, "ann", at); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []int64{2, 3} {
		if err := AcknowledgeAlert(t.Context(), path, id, "ann", at); !errors.Is(err, ErrNoAlert) {
			t.Errorf("acknowledging %d: %v", id, err)
		}
	}
	found := alertsAfter(t, path, AlertFilter{}, Alert{ID: 1, Text: "again"})
	if found[0].Text != "again" || found[0].By != "ann" || !found[0].Acknowledged.Equal(at) {
		t.Errorf("found %+v", found[0])
	}
}

func TestOldAlertsAreForgotten(t *testing.T) {
	path := empty(t)
	now := time.Now()
	alertsAfter(t, path, AlertFilter{}, Alert{ID: 1, Ended: now.Add(-100 * 24 * time.Hour)}, Alert{ID: 2}, Alert{ID: 3, Ended: now})
	if err := AcknowledgeAlert(t.Context(), path, 2, "ann", now); err != nil {
		t.Fatal(err)
	}
	s, _, err := openStore(path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.forgetAlerts(unixMilli(now.Add(-90 * 24 * time.Hour))); err != nil {
		t.Fatal(err)
	}
	found := alertsAfter(t, path, AlertFilter{})
	if len(found) != 2 || found[0].ID != 2 || found[0].By != "ann" || found[1].ID != 3 {
		t.Errorf("found %+v", found)
	}
}

func TestTriesAreThoseOfSendersInTheirOrder(t *testing.T) {
	path := empty(t)
	book := Open(path, Options{})
	now := time.Now().Truncate(time.Millisecond)
	book.AddHandshake(Handshake{Session: "A", At: now, EHLO: "mail.sender.example", Outcome: Full, Unused: true})
	book.AddHandshake(Handshake{Session: "B", At: now, Outcome: Full, Probe: true})
	book.AddHandshake(Handshake{Session: "C", At: now, Fingerprint: "t13d", Outcome: Failed, Stopped: "closed",
		Diagnoses: []Diagnosis{{Case: "less", Confidence: 0.2}, {Case: "more", Confidence: 0.9}}})
	book.AddHandshake(Handshake{Session: "D", At: now, Outcome: Failed})
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path)
	tries, err := r.Tries(t.Context(), 0)
	if err != nil || len(tries) != 3 {
		t.Fatalf("%+v, %v", tries, err)
	}
	if a := tries[0]; a.Session != "A" || !a.Unused || a.Outcome != Full || a.EHLO != "mail.sender.example" || !a.At.Equal(now) {
		t.Errorf("%+v", a)
	}
	if c := tries[1]; c.Session != "C" || c.Case != "more" || c.Stopped != "closed" || c.JA4 != "t13d" {
		t.Errorf("%+v", c)
	}
	if d := tries[2]; d.Case != Unknown {
		t.Errorf("%+v", d)
	}
	if rest, err := r.Tries(t.Context(), tries[1].ID); err != nil || len(rest) != 1 || rest[0].Session != "D" {
		t.Errorf("after C: %+v, %v", rest, err)
	}
}
