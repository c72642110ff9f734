package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/metrics"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/sessionticket"
)

const fingerprint = "t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4"

var (
	sender    = netip.MustParseAddr("192.0.2.7")
	neighbour = netip.MustParseAddr("192.0.2.8")
)

// session is a session of the sender in a mode.
func session(id string, mode sessionticket.Mode) smtpd.SessionResult {
	return smtpd.SessionResult{
		ID: id, Began: time.Now(), Sender: netip.AddrPortFrom(sender, 40_000), EHLO: "mail.example",
		Mode: mode, JA4: fingerprint,
	}
}

// strict is one whose client closes over an early ticket.
func strict(t *testing.T, id string, mode sessionticket.Mode) smtpd.SessionResult {
	t.Helper()
	recorded, err := os.ReadFile("../../handshake/testdata/early-ticket.json")
	if err != nil {
		t.Fatal(err)
	}
	r := session(id, mode)
	if r.Transcript, err = handshake.Parse(recorded); err != nil {
		t.Fatal(err)
	}
	return r
}

// mailed is one that completes the handshake and brings a message.
func mailed(id string, mode sessionticket.Mode) smtpd.SessionResult {
	r := session(id, mode)
	r.TLS, r.Messages = &tls.ConnectionState{Version: tls.VersionTLS13, CurveID: tls.X25519}, 1
	return r
}

// An observed is an observer and its log.
type observed struct {
	*observer
	lines lines
}

// lines are those of a log.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func open(t *testing.T, path string) observed {
	t.Helper()
	log := make(lines, 100)
	o := openObserver(sessionticket.Stock, path, smtp.DomainOnly, metrics.New(), ledger.Options{Log: slog.New(slog.NewJSONHandler(log, nil))})
	return observed{o, log}
}

func (o observed) mode() sessionticket.Mode { return o.ChooseMode(sender, fingerprint, false) }

// ended ends a session and returns its line in the log.
func (o observed) ended(t *testing.T, r smtpd.SessionResult) map[string]any {
	t.Helper()
	o.SessionEnded(r)
	return o.next(t, "session")
}

// next returns the next line in the log with that message.
func (o observed) next(t *testing.T, message string) map[string]any {
	t.Helper()
	for line := range o.lines {
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			t.Fatal(err)
		}
		if attrs["msg"] == message {
			return attrs
		}
	}
	return nil
}

func read(t *testing.T, path string) *ledger.Reader {
	t.Helper()
	r, err := ledger.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// What a balancer does to see whether the server is up says nothing about a sender, even where it
// fails as a strict sender does.
func TestHealthChecksAreNoSenders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	r := strict(t, "CHECK", sessionticket.Stock)
	r.HealthCheck = true
	for range 3 {
		o.SessionEnded(r)
	}
	if got := o.mode(); got != sessionticket.Stock {
		t.Errorf("mode %v after health checks", got)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Senders(t.Context(), ledger.Filter{})
	if err != nil || len(found) != 0 {
		t.Errorf("the senders are %+v, %v", found, err)
	}
	select {
	case line := <-o.lines:
		t.Errorf("it is logged: %s", line)
	default:
	}
}

// A sender loses one attempt, even if the server is restarted after it.
func TestAStrictSenderFallsBackAfterOneFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	if got := o.mode(); got != sessionticket.Stock {
		t.Fatalf("mode %v at first", got)
	}
	line := o.ended(t, strict(t, "FAILED", sessionticket.Stock))
	for key, want := range map[string]string{
		logkey.Case:    "early-ticket",
		logkey.Stopped: "closed silently by the client, after NewSessionTicket",
		logkey.JA4:     fingerprint,
		logkey.Mode:    "stock",
	} {
		if got := line[key]; got != want {
			t.Errorf("the log says %s=%q, want %q", key, got, want)
		}
	}
	if got := o.mode(); got != sessionticket.OwnWrite {
		t.Errorf("mode %v after the failure", got)
	}
	if line := o.ended(t, mailed("COMPLETED", sessionticket.OwnWrite)); line[logkey.Case] != nil || line[logkey.Next] != nil {
		t.Errorf("the log says more of a success: %v", line)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}

	o = open(t, path)
	defer o.Close()
	if got := o.mode(); got != sessionticket.OwnWrite {
		t.Errorf("mode %v after a restart", got)
	}
}

func TestTheLedgerHasTheFailureAndTheDecision(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	o.SessionEnded(strict(t, "FAILED", sessionticket.Stock))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, r := context.Background(), read(t, path)
	h, err := r.Handshake(ctx, "FAILED")
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Diagnoses) == 0 || h.Diagnoses[0].Case != "early-ticket" || h.Outcome != ledger.Failed || h.Mode != sessionticket.Stock {
		t.Errorf("the ledger has %+v", h)
	}
	if _, err := handshake.Parse(h.Transcript); err != nil {
		t.Errorf("the transcript does not come back: %v", err)
	}
	decisions, err := r.Decisions(ctx, ledger.Filter{})
	if err != nil || len(decisions) != 1 || decisions[0].From != sessionticket.Stock || decisions[0].To != sessionticket.OwnWrite || decisions[0].Why == "" {
		t.Errorf("the ledger has %+v, %v", decisions, err)
	}
}

// A probe is no sender: it is answered as a new one, and what it meets moves no sender.
func TestProbesChangeNoMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	for _, id := range []string{"FIRST", "SECOND", "THIRD"} {
		probed := strict(t, id, o.ChooseMode(sender, fingerprint, true))
		probed.Probe = true
		if line := o.ended(t, probed); line[logkey.Probe] != true || line[logkey.Case] != "early-ticket" || line[logkey.Next] != "nothing: a probe changes no mode" {
			t.Errorf("the log says %v", line)
		}
	}
	if got := o.mode(); got != sessionticket.Stock {
		t.Errorf("mode %v after probes that failed in stock", got)
	}
	o.SessionEnded(strict(t, "FAILED", sessionticket.Stock))
	completed := mailed("COMPLETED", sessionticket.Stock)
	completed.Probe = true
	o.SessionEnded(completed)
	if got := o.mode(); got == sessionticket.Stock {
		t.Error("a probe that completed vouches for a mode in which the sender failed")
	}
	if got := o.ChooseMode(sender, fingerprint, true); got != sessionticket.Stock {
		t.Errorf("a probe gets mode %v, of a sender that failed", got)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	failed, err := read(t, path).Handshakes(context.Background(), ledger.Filter{})
	if err != nil || len(failed) != 1 || failed[0].Session != "FAILED" {
		t.Errorf("the ledger lists %+v, %v", failed, err)
	}
}

func TestProbeGetsThePinOfItsNetwork(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	o.setPins([]fallback.Pin{{Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.TLS12}})
	if got := o.ChooseMode(sender, fingerprint, true); got != sessionticket.TLS12 {
		t.Errorf("mode %v in a network pinned to tls12", got)
	}
}

func TestSessionsWithoutAHandshake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	scanner := smtpd.SessionResult{ID: "SCANNER", Sender: netip.AddrPortFrom(sender, 40_000), Transcript: &handshake.Transcript{
		End: handshake.End{Kind: handshake.EndClosed, By: handshake.Client},
	}}
	plain := smtpd.SessionResult{ID: "PLAIN", Began: time.Now(), Sender: netip.AddrPortFrom(sender, 40_000), EHLO: "mail.example", Messages: 1}
	for _, r := range []smtpd.SessionResult{scanner, {ID: "NOTHING", Sender: netip.AddrPortFrom(sender, 40_000)}, plain} {
		if line := o.ended(t, r); line[logkey.Case] != nil {
			t.Errorf("%s: the log says %v", r.ID, line)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Handshakes(context.Background(), ledger.Filter{})
	if err != nil || len(found) != 1 || found[0].Session != "PLAIN" || found[0].Outcome != ledger.Plaintext {
		t.Errorf("the ledger has %+v, %v", found, err)
	}
}

// A sender that checks the certificate after the handshake closes the connection in good order,
// as a monitor does: it is not a failure, but it did not deliver either.
func TestAHandshakeWithoutACommandIsStoredAsUnused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	polite := mailed("POLITE", sessionticket.OwnWrite)
	polite.Messages, polite.Transcript = 0, &handshake.Transcript{
		Completed: true, Use: handshake.UseNone, End: handshake.End{Kind: handshake.EndClosed, By: handshake.Client},
		Messages: []handshake.Message{{From: handshake.Client, Type: handshake.TypeClientHello}, {From: handshake.Client, Type: handshake.TypeAlert}},
	}
	if line := o.ended(t, polite); line[logkey.Case] != nil {
		t.Errorf("the log says %v", line)
	}
	o.SessionEnded(mailed("MAILED", sessionticket.OwnWrite))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	all := ledger.Span{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	found, err := read(t, path).Activity(context.Background(), all, ledger.SenderQuery{Domains: []string{"mail.example"}})
	if err != nil || len(found) != 1 || found[0].Full != 2 || found[0].Unused != 1 {
		t.Errorf("the ledger has %+v, %v", found, err)
	}
}

// A crash loses the history of the last seconds only.
func TestSenderHistoryIsSavedWhileTheServerRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		o := open(t, path)
		o.SessionEnded(strict(t, "FAILED", sessionticket.Stock))
		time.Sleep(saveInterval + time.Second)
		synctest.Wait()
		states, err := read(t, path).States(context.Background())
		if err != nil || len(states) == 0 {
			t.Errorf("the ledger has %v, %v", states, err)
		}
		o.Close()
	})
}

func TestAPinOfAnotherProcessApplies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		o := open(t, path)
		defer o.Close()
		network := netip.MustParsePrefix("192.0.2.0/24")
		pin := fallback.Pin{Network: network, Mode: sessionticket.TLS12, Why: "asked by its postmaster", Since: time.Now()}
		if err := ledger.SetPin(context.Background(), path, pin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // what postern senders pin promises
		synctest.Wait()
		if got := o.mode(); got != sessionticket.TLS12 {
			t.Errorf("mode %v, the pin is ignored", got)
		}
		o.SessionEnded(strict(t, "FAILED", sessionticket.TLS12))
		if got := o.mode(); got != sessionticket.TLS12 {
			t.Errorf("mode %v in spite of the pin", got)
		}
	})
}

// OpenSSL rejects a certificate with an alert that is not encrypted. Crypto/tls calls that a
// bad record.
func TestAnAlertThatCryptoTLSCannotReadIsNamedInTheLog(t *testing.T) {
	bad := &net.OpError{Op: "local error", Err: tls.AlertError(20)}
	alert := handshake.Message{From: handshake.Client, Type: handshake.TypeAlert, Alert: &handshake.Alert{Fatal: true, Description: 48}}
	encrypted := alert
	encrypted.Encrypted = true
	end := handshake.End{Kind: handshake.EndAlert, By: handshake.Client, After: 1}
	for _, c := range []struct {
		name    string
		message handshake.Message
		end     handshake.End
		want    string
	}{
		{"in plaintext", alert, end, "the sender's alert unknown_ca, not encrypted, which crypto/tls could not read (local error: tls: bad record MAC)"},
		{"encrypted", encrypted, end, "local error: tls: bad record MAC"},
		{"by the server", alert, handshake.End{Kind: handshake.EndAlert, By: handshake.Server, After: 1}, "local error: tls: bad record MAC"},
	} {
		r := session("REFUSED", sessionticket.OwnWrite)
		r.Err = bad
		r.Transcript = &handshake.Transcript{Messages: []handshake.Message{c.message}, End: c.end}
		o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
		if got := o.ended(t, r)[logkey.Err]; got != c.want {
			t.Errorf("%s: err=%q, want %q", c.name, got, c.want)
		}
		o.Close()
	}
}

// Every attribute is one that operators search for.
func TestTheLineOfASession(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	r := mailed("DELIVERED", sessionticket.OwnWrite)
	r.TLS = nil
	r.Messages, r.Recipients, r.Bytes, r.Refused, r.Deferred = 2, 3, 4567, 5, 6
	r.Duration, r.End = 1234567*time.Microsecond, "quit"
	got := o.ended(t, r)
	for key, want := range map[string]any{
		logkey.Session: "DELIVERED", logkey.Sender: "192.0.2.7:40000", logkey.EHLO: "mail.example",
		logkey.Messages: 2.0, logkey.Recipients: 3.0, logkey.Bytes: 4567.0, logkey.Refused: 5.0, logkey.Deferred: 6.0,
		logkey.Duration: 1.235e9, logkey.End: "quit",
	} {
		if got[key] != want {
			t.Errorf("%s=%v, want %v", key, got[key], want)
		}
	}
}

// The error of a handshake can have all that the client offers. That of a fault in the server keeps
// its stack.
func TestALineHasABoundedError(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	r := session("OFFERS", sessionticket.OwnWrite)
	r.End, r.Err = "TLS handshake failed", errors.New("tls: no cipher suite supported by both client and server; client offered: ["+strings.Repeat("12ab ", 4000)+"]")
	if text := o.ended(t, r)[logkey.Err].(string); len(text) > 510 || !strings.HasPrefix(text, "tls: no cipher suite supported by both client and server; client offered: [12ab") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	r.End, r.Err = "panic", errors.New("smtpd: panic: a fault\n"+strings.Repeat("goroutine 1\n", 400))
	if text := o.ended(t, r)[logkey.Err].(string); text != r.Err.Error() {
		t.Errorf("of a fault: %q", text)
	}
}

// A flood of connections, refused or not, writes a bounded number of lines; sessions with a
// message keep theirs.
func TestAFloodOfSessionsIsSummedUpInTheLog(t *testing.T) {
	var log strings.Builder
	obs := openObserver(sessionticket.OwnWrite, filepath.Join(t.TempDir(), "ledger.db"), smtp.DomainOnly, metrics.New(),
		ledger.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 5000 {
		r := session("S", sessionticket.OwnWrite)
		r.Limit, r.End = &admission.Reached{Network: admission.Network(sender)}, "too many connections"
		obs.SessionEnded(r)
		r.Limit, r.End = nil, "closed by sender"
		obs.SessionEnded(r)
	}
	for range 100 {
		obs.SessionEnded(mailed("M", sessionticket.OwnWrite))
	}
	if err := obs.Close(); err != nil {
		t.Fatal(err)
	}
	single := strings.Count(log.String(), "msg=session ") - 100
	if single < 50 || single > 100 || strings.Count(log.String(), "session=M ") != 100 {
		t.Errorf("%d lines of 10,000 sessions without a message, want some 50, and %d of 100 with one", single, strings.Count(log.String(), "session=M "))
	}
	if !strings.Contains(log.String(), "limit=192.0.2.0/24") {
		t.Error("the lines do not say which limit was reached")
	}
	_, sum, _ := strings.Cut(log.String(), `msg="more sessions without a message" network=192.0.2.0/24 `)
	var refused, others int
	if n, err := fmt.Sscanf(sum, "over_limit=%d admitted=%d", &refused, &others); n != 2 || refused+others+single != 10_000 {
		t.Errorf("the sum %.80q and %d lines account for %d of 10,000 sessions (%v)", sum, single, refused+others+single, err)
	}
	if log.Len() > 100_000 {
		t.Errorf("the log has %d bytes", log.Len())
	}
}
