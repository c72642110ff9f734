package alert

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/testlog"
	"postern/sessionticket"
)

// A station is a server's ledger, its watcher and an operator.
type station struct {
	*testing.T
	path    string
	book    *ledger.Ledger
	watcher *Watcher
	now     time.Time
	stored  int
	own     []Condition
	told    []Message
	log     testlog.Log
	weekly  bool
}

func newStation(t *testing.T) *station {
	s := &station{T: t, path: filepath.Join(t.TempDir(), "ledger.db"), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	s.start()
	return s
}

func (s *station) start() {
	s.book = ledger.Open(s.path, ledger.Options{})
	s.watcher = New(Settings{
		Host: "mx.example.org", Ledger: s.book, Path: s.path, Channels: []Channel{s}, Weekly: s.weekly, Log: s.log.Logger(),
		Own: func(context.Context) []Condition { return s.own },
	})
	s.watcher.now = func() time.Time { return s.now }
	s.Cleanup(s.stop)
}

func (s *station) stop() {
	s.watcher.close()
	s.book.Close()
}

// restart begins a new process with the same ledger.
func (s *station) restart() {
	s.stop()
	s.start()
}

// Name says that a station gets mail.
func (s *station) Name() string { return "mail" }

// Tell makes a station a [Channel].
func (s *station) Tell(_ context.Context, m Message) error {
	s.told = append(s.told, m)
	return nil
}

// session stores a session, and waits until it is stored.
func (s *station) session(outcome ledger.Outcome) {
	s.Helper()
	s.stored++
	s.book.AddHandshake(ledger.Handshake{
		Session: fmt.Sprintf("S%d", s.stored), At: s.now, Address: netip.MustParseAddr("192.0.2.7"), Network: netip.MustParsePrefix("192.0.2.0/24"),
		EHLO: "mail.sender.example", Fingerprint: "t13d", Mode: sessionticket.OwnWrite, Outcome: outcome,
		Stopped: "closed silently", Diagnoses: []ledger.Diagnosis{{Case: "early-ticket", Confidence: 0.9}},
	})
	reader, err := ledger.OpenReader(s.path)
	if err != nil {
		s.Fatal(err)
	}
	defer reader.Close()
	for {
		tries, err := reader.Tries(s.Context(), int64(s.stored-1))
		if err != nil {
			s.Fatal(err)
		}
		if len(tries) > 0 {
			return
		}
	}
}

func (s *station) check() {
	s.Helper()
	if err := s.watcher.Check(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// alerts returns the stored alerts, when the ledger has written them.
func (s *station) alerts() []ledger.Alert {
	s.Helper()
	reader, err := ledger.OpenReader(s.path)
	if err != nil {
		s.Fatal(err)
	}
	defer reader.Close()
	found, err := reader.Alerts(s.Context(), ledger.AlertFilter{})
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// As in October 2024: a sender that used to deliver fails, the operator hears of it within the
// hour, once, and of the end; a restart in between changes nothing.
func TestOperatorHearsOfASenderThatStopped(t *testing.T) {
	s := newStation(t)
	for range 4 {
		s.session(ledger.Full)
		s.check()
		s.now = s.now.Add(24 * time.Hour)
	}
	failed := s.now
	for range 4 {
		s.session(ledger.Failed)
		s.check()
		s.now = s.now.Add(10 * time.Minute)
	}
	if len(s.told) != 1 || s.told[0].Time.Sub(failed) > time.Hour {
		t.Fatalf("told %+v", s.told)
	}
	if e := s.told[0].Events[0]; e.Event != Began || e.Kind != string(SenderStopped) || e.Alert.Subject != "sender.example" || !e.Since.Equal(failed) {
		t.Errorf("told %+v", e)
	}
	s.restart()
	s.session(ledger.Failed)
	s.check()
	s.now = s.now.Add(20 * time.Minute)
	s.check()
	if len(s.told) != 1 {
		t.Fatalf("after a restart told again: %+v", s.told[1:])
	}
	s.session(ledger.Full)
	s.check()
	s.now = s.now.Add(clearTime)
	s.check()
	if len(s.told) != 2 || s.told[1].Events[0].Event != Ended {
		t.Fatalf("at the end told %+v", s.told)
	}
	s.restart()
	if found := s.alerts(); len(found) != 1 || found[0].Ended.IsZero() || found[0].Said["mail"].Event != Ended {
		t.Errorf("the ledger has %+v", found)
	}
	s.check()
	if len(s.told) != 2 {
		t.Errorf("after the end told %+v", s.told[2:])
	}
	if s.log.Count("alert began") != 1 || s.log.Count("alert ended") != 1 {
		t.Errorf("log:\n%s", s.log.String())
	}
}

// An operator at a shell acknowledges an alert, and the running server reminds no more.
func TestAcknowledgementReachesTheRunningServer(t *testing.T) {
	s := newStation(t)
	s.own = []Condition{hopIsDown}
	s.check()
	s.restart() // the ledger has the alert
	if err := ledger.AcknowledgeAlert(t.Context(), s.path, 1, "ann", s.now); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(48 * time.Hour)
	s.check()
	if len(s.told) != 1 {
		t.Errorf("reminded all the same: %+v", s.told[1:])
	}
	if found := s.alerts(); len(found) != 1 || found[0].By != "ann" {
		t.Errorf("the ledger has %+v", found)
	}
}

// On Monday there is a summary of the week, once.
func TestWeekHasASummary(t *testing.T) {
	s := newStation(t)
	s.weekly = true
	s.restart()
	s.session(ledger.Full)
	s.session(ledger.Failed)
	s.check()
	if len(s.told) != 0 {
		t.Fatalf("on %s: %+v", s.now.Weekday(), s.told)
	}
	s.now = time.Date(2026, 11, 30, summaryHour, 1, 0, 0, time.UTC)
	s.check()
	s.restart()
	s.now = s.now.Add(24 * time.Hour)
	s.check()
	if len(s.told) != 1 {
		t.Fatalf("%d messages", len(s.told))
	}
	text := s.told[0].Text()
	for _, want := range []string{"From 2026-11-23 to 2026-11-29", "1 session with TLS", "1 failed handshake\n", "192.0.2.0/24 mail.sender.example: 1 of 2 failed", "No alerts."} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q:\n%s", want, text)
		}
	}
}
