package ledger

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"
)

func TestCompletedHandshakeOfTheSameSenderIsTheNearest(t *testing.T) {
	at := func(h Handshake, hours int) Handshake {
		h.At = noon.Add(time.Duration(hours) * time.Hour)
		return h
	}
	path := written(t,
		at(success("before"), -30),
		at(with(success("other-client"), func(h *Handshake) { h.Fingerprint = "another" }), -20),
		at(with(success("other-name"), func(h *Handshake) { h.EHLO = "mail.other.example" }), -3),
		at(with(success("other-network"), func(h *Handshake) { h.Network = netip.MustParsePrefix("198.51.100.0/24") }), -3),
		at(with(success("unused"), func(h *Handshake) { h.Unused = true }), -2),
		at(with(success("probe"), func(h *Handshake) { h.Probe = true }), -1),
		failure("failed"),
		at(success("after"), 1),
		at(success("later"), 2),
	)
	r := reader(t, path)
	for _, c := range []struct {
		of   Handshake
		want string
	}{
		{failure("failed"), "other-client"},
		{at(failure("failed"), -25), "before"},
		{at(failure("failed"), -100), "before"},
		{at(failure("failed"), 100), "later"},
	} {
		found, err := r.Completed(t.Context(), c.of)
		if err != nil || found.Session != c.want {
			t.Errorf("nearest to %v: %q, %v; want %q", c.of.At, found.Session, err, c.want)
		}
	}
	unknown := with(failure(""), func(h *Handshake) { h.EHLO = "mail.unknown.example" })
	if _, err := r.Completed(t.Context(), unknown); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an unknown sender: %v", err)
	}
}

// Of each sender the messages of one handshake that it completed are kept, and a failed one is
// compared with that, even if others are nearer.
func TestMessagesOfACompletedHandshakeAreKept(t *testing.T) {
	t.Parallel()
	good := func(session string, hours int, change func(*Handshake)) Handshake {
		h := with(success(session), change)
		h.At = noon.Add(time.Duration(hours) * time.Hour)
		return h
	}
	kept := func(h *Handshake) { h.Transcript = failure("").Transcript }
	large := make([]byte, 8<<10)
	rand.Read(large) // it cannot be compressed
	path := written(t,
		good("replaced", -48, kept),
		good("kept", -24, kept),
		good("nearer", -1, func(h *Handshake) {}),
		good("too-large", -1, func(h *Handshake) { h.Transcript = large }),
		good("probe", -1, func(h *Handshake) { h.Probe, h.Transcript = true, failure("").Transcript }),
		failure("failed"),
		good("other-client", 2, func(h *Handshake) { kept(h); h.Fingerprint = "another" }),
	)
	r := reader(t, path)
	for at, want := range map[time.Time]string{noon: "kept", noon.Add(-30 * time.Hour): "kept", noon.Add(3 * time.Hour): "other-client"} {
		of := failure("failed")
		of.At = at
		if found, err := r.Completed(t.Context(), of); err != nil || found.Session != want || len(found.Transcript) == 0 {
			t.Errorf("to compare with at %v: %q with %d bytes, %v; want %q", at, found.Session, len(found.Transcript), err, want)
		}
	}
	for session, want := range map[string]bool{"kept": true, "other-client": true, "replaced": false, "nearer": false, "too-large": false, "probe": false} {
		if h, err := r.Handshake(t.Context(), session); err != nil || (len(h.Transcript) > 0) != want {
			t.Errorf("%s: %d bytes of messages, %v; want some: %v", session, len(h.Transcript), err, want)
		}
	}
}
