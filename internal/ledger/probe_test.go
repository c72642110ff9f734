package ledger

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// probed is a handshake of a probe from the address of h.
func probed(h Handshake) Handshake {
	h.Session, h.EHLO, h.Probe = "PROBE-"+h.Session, "early-ticket.probe.invalid", true
	return h
}

func listed(t *testing.T, r *Reader, f Filter) (found []string) {
	t.Helper()
	all, err := r.Handshakes(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if h.Probe != (h.EHLO == "early-ticket.probe.invalid") {
			t.Errorf("%s comes back with Probe = %v", h.Session, h.Probe)
		}
		found = append(found, h.Session)
	}
	return found
}

func TestProbesAreListedOnRequest(t *testing.T) {
	r := reader(t, written(t, failure("ONE"), probed(failure("ONE")), success("TWO"), probed(success("TWO"))))
	for _, f := range []Filter{{}, {Since: noon}, {Sender: "192.0.2.7"}, {After: 1}, {Failed: true}, {Case: "early-ticket"}, {Sender: "192.0.2.0/24", Case: "early-ticket"}} {
		without := listed(t, r, f)
		f.Probes = true
		with := listed(t, r, f)
		for _, session := range without {
			if session != "ONE" && session != "TWO" {
				t.Errorf("%+v lists %s", f, session)
			}
		}
		if len(with) <= len(without) {
			t.Errorf("%+v lists %v, without probes %v", f, with, without)
		}
	}
	if h, err := r.Handshake(context.Background(), "PROBE-ONE"); err != nil || !h.Probe || len(h.Transcript) == 0 {
		t.Errorf("the session by its ID: %+v, %v", h, err)
	}
}

func TestProbesAreNotCounted(t *testing.T) {
	ctx := context.Background()
	r := reader(t, written(t, probed(failure("ONE")), probed(success("TWO"))))
	for _, f := range []Filter{{}, {Since: noon.Add(-time.Hour)}, {Failed: true}} {
		if found, err := r.Senders(ctx, f); err != nil || len(found) > 0 {
			t.Errorf("%+v: senders %+v, %v", f, found, err)
		}
		if found, err := r.Days(ctx, f); err != nil || len(found) > 0 {
			t.Errorf("%+v: days %+v, %v", f, found, err)
		}
	}
	day := Span{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}
	of := SenderQuery{Addresses: []netip.Addr{failure("").Address}}
	if found, err := r.Activity(ctx, day, of); err != nil || len(found) > 0 {
		t.Errorf("activity %+v, %v", found, err)
	}
	if found, err := r.FailingAddresses(ctx, day, 10); err != nil || len(found) > 0 {
		t.Errorf("failing addresses %v, %v", found, err)
	}
}

// A machine that probes may also send mail in plaintext: not because the probe failed.
func TestPlaintextIsNotAfterAProbe(t *testing.T) {
	mail := with(success("MAIL"), func(h *Handshake) { h.Outcome, h.At = Plaintext, noon.Add(time.Minute) })
	r := reader(t, written(t, probed(failure("ONE")), mail))
	if h, err := r.Handshake(context.Background(), "MAIL"); err != nil || h.After != "" {
		t.Errorf("the mail is after %q, %v", h.After, err)
	}
}
