package ledger

import (
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
