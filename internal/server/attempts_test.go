package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
	"postern/internal/testcert"
	"postern/sessionticket"
)

// leaves returns a session whose client closes after the server's flight.
func leaves(t *testing.T, id string, mode sessionticket.Mode, certificate *x509.Certificate) smtpd.SessionResult {
	t.Helper()
	r := strict(t, id, mode)
	r.Certificate = certificate
	if mode != sessionticket.Stock {
		r.Transcript.Messages = slices.DeleteFunc(r.Transcript.Messages, func(m handshake.Message) bool {
			return m.Type == handshake.TypeNewSessionTicket
		})
		r.Transcript.End.After = len(r.Transcript.Messages)
	}
	return r
}

// A nodemailer that verifies closes without an alert, as outlook.com did. Log and ledger agree on
// what it was, before and after its next attempt.
func TestTheNextAttemptCorrectsTheDiagnosis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	selfSigned := testcert.New(t, testcert.Options{}).TLS.Leaf
	if !bytes.Equal(selfSigned.RawIssuer, selfSigned.RawSubject) {
		t.Fatal("the certificate is not self-signed")
	}
	line := o.ended(t, leaves(t, "FIRST", sessionticket.Stock, selfSigned))
	if line[logkey.Case] != "early-ticket" || line[logkey.Confidence] != "possible" || line[logkey.Alternatives] != "certificate-refused (possible)" {
		t.Errorf("the log says %v", line)
	}
	if line := o.ended(t, leaves(t, "SECOND", sessionticket.OwnWrite, selfSigned)); line[logkey.Case] != "certificate-refused" || line[logkey.Alternatives] != nil {
		t.Errorf("the log says %v", line)
	}
	if line := o.next(t, "diagnosis revised"); line[logkey.Session] != "FIRST" || line[logkey.Was] != "early-ticket (possible)" ||
		line[logkey.Case] != "certificate-refused (likely)" || line[logkey.Later] != "SECOND" {
		t.Errorf("the log says %v", line)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Handshakes(context.Background(), ledger.Filter{Case: "certificate-refused"})
	if err != nil || len(found) != 2 {
		t.Fatalf("the ledger has %+v, %v", found, err)
	}
	for _, h := range found {
		if h.Diagnoses[0].Case != "certificate-refused" || h.Diagnoses[0].Confidence != 0.85 || (h.Revised != "") != (h.Session == "FIRST") {
			t.Errorf("the ledger has %+v", h)
		}
	}
}

// A probe with the fingerprint and the name of a sender is no evidence about that sender.
func TestAProbeRevisesNoDiagnosis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	o.ended(t, leaves(t, "FAILED", sessionticket.Stock, nil))
	completed, failed := mailed("COMPLETED", sessionticket.OwnWrite), leaves(t, "LEFT", sessionticket.OwnWrite, nil)
	completed.Probe, failed.Probe = true, true
	o.ended(t, completed)
	o.ended(t, failed)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := read(t, path).Handshake(context.Background(), "FAILED")
	if err != nil || h.Revised != "" || h.Diagnoses[0].Case != "early-ticket" || h.Diagnoses[0].Confidence == 0.99 {
		t.Errorf("%+v, %v", h, err)
	}
}

// A success without an early ticket is proof, whatever the certificate.
func TestASuccessInAnotherModeConfirmsTheDiagnosis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	o.ended(t, leaves(t, "FAILED", sessionticket.Stock, nil))
	o.ended(t, mailed("MAILED", sessionticket.OwnWrite))
	other := mailed("OTHER", sessionticket.OwnWrite)
	other.EHLO = "other.example" // a neighbour proves nothing
	o.ended(t, leaves(t, "AGAIN", sessionticket.Stock, nil))
	o.ended(t, other)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	r := read(t, path)
	for _, session := range []string{"FAILED", "AGAIN"} {
		h, err := r.Handshake(context.Background(), session)
		if err != nil || len(h.Diagnoses) != 1 || h.Diagnoses[0].Case != "early-ticket" || h.Diagnoses[0].Confidence != 0.99 {
			t.Errorf("%s: %+v, %v", session, h, err)
		}
	}
}

// Neither refused certificates nor monitors move a network.
func TestClientsThatLeaveCauseNoFallback(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	selfSigned := testcert.New(t, testcert.Options{}).TLS.Leaf
	monitor := func(id string, mode sessionticket.Mode) smtpd.SessionResult {
		r := session(id, mode)
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13}
		r.Transcript = strict(t, id, mode).Transcript
		r.Transcript.Completed, r.Transcript.Use = true, handshake.UseData
		r.Transcript.Messages = slices.Insert(r.Transcript.Messages, len(r.Transcript.Messages)-1, handshake.Message{From: handshake.Client, Type: handshake.TypeFinished})
		r.Transcript.End.After++
		return r
	}
	for range 6 {
		mode := o.mode()
		if line := o.ended(t, monitor("MONITOR", mode)); line[logkey.Case] != nil {
			t.Errorf("a monitor failed: %v", line)
		}
		o.ended(t, leaves(t, "VERIFIES", sessionticket.OwnWrite, selfSigned))
	}
	if got := o.ChooseMode(neighbour, fingerprint, false); got != sessionticket.Stock {
		t.Errorf("a neighbour has mode %v", got)
	}
}

// Whoever fails under many names, from all networks of a provider, takes no evidence about others.
func TestAStrangerDisplacesNoAttempts(t *testing.T) {
	a := newAttempts()
	selfSigned := testcert.New(t, testcert.Options{}).TLS.Leaf
	a.judge(leaves(t, "FIRST", sessionticket.Stock, selfSigned))
	stranger := leaves(t, "X", sessionticket.OwnWrite, nil)
	for i := range 3 * maxAttemptSenders {
		stranger.Sender = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), 7}), 40_000)
		stranger.EHLO = fmt.Sprint("mail", i)
		for range 2 {
			a.judge(stranger)
		}
	}
	j := a.judge(leaves(t, "SECOND", sessionticket.OwnWrite, selfSigned))
	if len(j.revisions) != 1 || j.revisions[0].session != "FIRST" {
		t.Errorf("the second attempt revises %+v, want the first one", j.revisions)
	}
}

func TestAttemptsOfASenderAreBounded(t *testing.T) {
	a := newAttempts()
	r := leaves(t, "X", sessionticket.OwnWrite, nil)
	for range 3 * maxAttempts {
		a.judge(r)
	}
	if all, _ := a.senders.Get(senderKey{admission.Network(r.Sender.Addr()), r.EHLO, r.JA4}); len(all) != 6 {
		t.Errorf("%d attempts of a sender", len(all))
	}
}
