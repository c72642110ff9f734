package triage

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
	"postern/sessionticket"
)

const (
	address     = "192.0.2.7"
	fingerprint = "t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4"
)

var sender = fallback.Sender{Addr: netip.MustParseAddr(address), Fingerprint: fingerprint}

// visit is a session of the sender at a mode.
func visit(id string, mode sessionticket.Mode) smtpd.Visit {
	return smtpd.Visit{
		Session: id, Began: time.Now(), Addr: sender.Addr, EHLO: "mail.example",
		Mode: mode, JA4: fingerprint,
	}
}

// strict is one that closes over an early ticket.
func strict(t *testing.T, id string, mode sessionticket.Mode) smtpd.Visit {
	t.Helper()
	recorded, err := os.ReadFile("../../handshake/testdata/early-ticket.json")
	if err != nil {
		t.Fatal(err)
	}
	v := visit(id, mode)
	if v.Handshake, err = handshake.Parse(recorded); err != nil {
		t.Fatal(err)
	}
	return v
}

// mailed is one that gets in and sends mail.
func mailed(id string, mode sessionticket.Mode) smtpd.Visit {
	v := visit(id, mode)
	v.TLS, v.Messages = &tls.ConnectionState{Version: tls.VersionTLS13, CurveID: tls.X25519}, 1
	return v
}

func open(t *testing.T, path string) *Triage {
	t.Helper()
	return Open(sessionticket.Stock, path, ledger.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
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

func attr(attrs []slog.Attr, key string) string {
	for _, a := range attrs {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// A sender loses one attempt, also when the server is restarted after it.
func TestAStrictSenderGetsInWhenItComesAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	watch := open(t, path)
	if got := watch.Offer(sender); got != sessionticket.Stock {
		t.Fatalf("offered %v at first", got)
	}
	line := watch.Ended(strict(t, "FAILED", sessionticket.Stock))
	for key, want := range map[string]string{
		logkey.Case:    "early-ticket",
		logkey.Stopped: "closed silently by the client, after NewSessionTicket",
		logkey.JA4:     fingerprint,
		logkey.Mode:    "stock",
	} {
		if got := attr(line, key); got != want {
			t.Errorf("the log says %s=%q, want %q", key, got, want)
		}
	}
	if got := watch.Offer(sender); got != sessionticket.FirstWrite {
		t.Errorf("offered %v when it comes again", got)
	}
	if line := watch.Ended(mailed("GOTIN", sessionticket.FirstWrite)); line != nil {
		t.Errorf("the log says more of a success: %v", line)
	}
	if err := watch.Close(); err != nil {
		t.Error(err)
	}

	watch = open(t, path)
	defer watch.Close()
	if got := watch.Offer(sender); got != sessionticket.FirstWrite {
		t.Errorf("offered %v after a restart", got)
	}
}

func TestTheLedgerHasTheFailureAndTheDecision(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	watch := open(t, path)
	watch.Ended(strict(t, "FAILED", sessionticket.Stock))
	if err := watch.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, r := context.Background(), read(t, path)
	h, err := r.Handshake(ctx, "FAILED")
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Diagnoses) == 0 || h.Diagnoses[0].Case != "early-ticket" || h.Outcome != ledger.Failed || h.Rung != "stock" {
		t.Errorf("the ledger has %+v", h)
	}
	if _, err := handshake.Parse(h.Transcript); err != nil {
		t.Errorf("the transcript does not come back: %v", err)
	}
	decisions, err := r.Decisions(ctx, ledger.Filter{})
	if err != nil || len(decisions) != 1 || decisions[0].From != "stock" || decisions[0].To != "first-write" || decisions[0].Why == "" {
		t.Errorf("the ledger has %+v, %v", decisions, err)
	}
}

func TestWhatIsNoHandshakeOfASender(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	watch := open(t, path)
	scanner := smtpd.Visit{Session: "SCANNER", Addr: sender.Addr, Handshake: &handshake.Transcript{
		End: handshake.End{Kind: handshake.EndClosed, By: handshake.Client},
	}}
	plain := smtpd.Visit{Session: "PLAIN", Began: time.Now(), Addr: sender.Addr, EHLO: "mail.example", Messages: 1}
	for _, v := range []smtpd.Visit{scanner, {Session: "NOTHING", Addr: sender.Addr}, plain} {
		if line := watch.Ended(v); line != nil {
			t.Errorf("%s: the log says %v", v.Session, line)
		}
	}
	if err := watch.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Handshakes(context.Background(), ledger.Filter{})
	if err != nil || len(found) != 1 || found[0].Session != "PLAIN" || found[0].Outcome != ledger.Plaintext {
		t.Errorf("the ledger has %+v, %v", found, err)
	}
}

// A sender that checks the certificate after the handshake says goodbye and leaves. It is no failure
// that could be told from a monitor's visit, and yet it brought no mail.
func TestWhoLeavesInGoodOrderWithoutACommandIsNoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	watch := open(t, path)
	polite := mailed("POLITE", sessionticket.FirstWrite)
	polite.Messages, polite.Handshake = 0, &handshake.Transcript{
		Completed: true, Use: handshake.UseNone, End: handshake.End{Kind: handshake.EndClosed, By: handshake.Client},
		Messages: []handshake.Message{{From: handshake.Client, Type: handshake.TypeClientHello}, {From: handshake.Client, Type: handshake.TypeAlert}},
	}
	if line := watch.Ended(polite); line != nil {
		t.Errorf("the log says %v", line)
	}
	watch.Ended(mailed("MAILED", sessionticket.FirstWrite))
	if err := watch.Close(); err != nil {
		t.Fatal(err)
	}
	all := ledger.Span{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	found, err := read(t, path).Activity(context.Background(), all, ledger.SenderQuery{Domains: []string{"mail.example"}})
	if err != nil || len(found) != 1 || found[0].Full != 2 || found[0].Unused != 1 {
		t.Errorf("the ledger has %+v, %v", found, err)
	}
}

// What a crash takes is at most what was learned in the last seconds.
func TestWhatIsLearnedIsSavedWhileTheServerRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		watch := open(t, path)
		watch.Ended(strict(t, "FAILED", sessionticket.Stock))
		time.Sleep(saveInterval + time.Second)
		synctest.Wait()
		states, err := read(t, path).States(context.Background(), maxStates)
		if err != nil || len(states) == 0 {
			t.Errorf("the ledger has %v, %v", states, err)
		}
		watch.Close()
	})
}

func TestAPinSetFromOutsideHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		watch := open(t, path)
		defer watch.Close()
		network := netip.MustParsePrefix("192.0.2.0/24")
		pin := ledger.Pin{Network: network, Rung: "tls12", Why: "asked by its postmaster", Since: time.Now()}
		if err := ledger.SetPin(context.Background(), path, pin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // what postern senders pin promises
		synctest.Wait()
		if got := watch.Offer(sender); got != sessionticket.TLS12 {
			t.Errorf("offered %v, the pin is not heeded", got)
		}
		watch.Ended(strict(t, "FAILED", sessionticket.TLS12))
		if got := watch.Offer(sender); got != sessionticket.TLS12 {
			t.Errorf("offered %v in spite of the pin", got)
		}
	})
}
