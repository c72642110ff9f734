package alert

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/delivery"
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

// forever keeps what the test's clock dates back.
const forever = 100 * 365 * 24 * time.Hour

func (s *station) start() {
	s.book = ledger.Open(s.path, ledger.Options{MaxAge: forever})
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

// deliverAndFail stores and checks the sessions of a sender that used to deliver and does not.
func (s *station) deliverAndFail() {
	s.Helper()
	for range 4 {
		s.session(ledger.Full)
		s.now = s.now.Add(24 * time.Hour)
	}
	for range 4 {
		s.session(ledger.Failed)
		s.check()
		s.now = s.now.Add(10 * time.Minute)
	}
}

// reader returns a reader of the ledger.
func (s *station) reader() *ledger.Reader {
	s.Helper()
	reader, err := ledger.OpenReader(s.path)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { reader.Close() })
	return reader
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
	found, err := s.reader().Alerts(s.Context(), ledger.AlertFilter{})
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

// After an upgrade there are weeks of sessions to read. Other alerts do not wait for that, and
// those about senders neither begin nor end.
func TestManySessionsToReadDelayAlertsAboutSendersOnly(t *testing.T) {
	s := newStation(t)
	s.deliverAndFail()
	s.check()
	s.watcher.senders.reads = 0
	s.session(ledger.Full) // it delivers again, and that is not read yet
	s.own = []Condition{hopIsDown}
	for range 3 {
		s.now = s.now.Add(clearTime)
		s.check()
	}
	if len(s.told) != 2 || s.told[1].Events[0].Kind != string(NextHopDown) || len(s.told[1].Events) != 1 {
		t.Fatalf("told %+v", s.told)
	}
	s.watcher.senders.reads = maxReads
	s.check()
	s.now = s.now.Add(clearTime)
	s.check()
	if len(s.told) != 3 || s.told[2].Events[0].Event != Ended || s.told[2].Events[0].Kind != string(SenderStopped) {
		t.Errorf("told %+v", s.told[2:])
	}
}

// The alert and the overview agree: a network whose connections fail, while another program under
// the same name delivers, has not stopped delivering.
func TestSenderThatDeliversByAnotherProgramIsNoAlert(t *testing.T) {
	s := newStation(t)
	s.deliverAndFail()
	judged, err := delivery.Judge(t.Context(), s.reader(), ledger.Span{From: s.now.Add(-time.Hour), To: s.now})
	if err != nil || len(judged) != 1 {
		t.Fatalf("judged %+v, %v", judged, err)
	}
	rhythms := s.watcher.senders.rhythms
	if c := rhythms.conditions(judged); len(c) != 1 || !strings.HasPrefix(c[0].Next, "Use the default mode") {
		t.Errorf("with the judgement %v: %+v", judged[0].Effect, c)
	}
	judged[0].Next = "mode no-ticket: it closed silently three times"
	if c := rhythms.conditions(judged); len(c) != 1 || c[0].Next != "Wait for its next attempt, which Postern answers in mode no-ticket." {
		t.Errorf("when Postern has fallen back: %+v", c)
	}
	for _, effect := range []delivery.Effect{delivery.SomeFail, delivery.InPlaintext, delivery.LastFailed, delivery.Doubtful, delivery.None} {
		judged[0].Effect = effect
		if c := rhythms.conditions(judged); len(c) != 0 {
			t.Errorf("with the judgement %v: %+v", effect, c)
		}
	}
	judged[0].Network = netip.MustParsePrefix("203.0.113.0/24")
	judged[0].Organization.Domain = "other.example"
	if c := rhythms.conditions(judged); len(c) != 1 {
		t.Errorf("with a judgement about others: %+v", c)
	}
}

// An alert whose cause is gone stays open for a while, and says that.
func TestAlertSaysThatItsCauseIsGone(t *testing.T) {
	s := newStation(t)
	s.own = []Condition{hopIsDown}
	s.check()
	s.own = nil
	gone := s.now.Add(time.Minute)
	for range 3 {
		s.now = s.now.Add(time.Minute)
		s.check()
	}
	s.restart()
	if found := s.alerts(); len(found) != 1 || !found[0].Gone.Equal(gone) || !found[0].Ended.IsZero() {
		t.Fatalf("the ledger has %+v", found)
	}
	s.own = []Condition{hopIsDown}
	s.check()
	s.restart()
	if found := s.alerts(); !found[0].Gone.IsZero() {
		t.Errorf("when it is back, the ledger has %+v", found)
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
