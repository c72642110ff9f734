package server

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
	"postern/sessionticket"
)

// refusedHello returns a session whose ClientHello with one suite the server refuses.
func refusedHello(t *testing.T, id string, suite handshake.Suite) smtpd.SessionResult {
	t.Helper()
	r := strict(t, id, sessionticket.OwnWrite)
	r.JA4 = fmt.Sprintf("t13d%d", suite)
	hello := *r.Transcript.ClientHello
	hello.Suites = []handshake.Suite{suite}
	r.Transcript = &handshake.Transcript{
		ClientHello: &hello,
		Messages: []handshake.Message{
			{From: handshake.Client, Type: handshake.TypeClientHello, Size: 200},
			{From: handshake.Server, Type: handshake.TypeAlert, Size: 2, Alert: &handshake.Alert{Fatal: true, Description: 40}},
		},
		End: handshake.End{Kind: handshake.EndAlert, By: handshake.Server, After: 2},
	}
	return r
}

// sslscan tries suite after suite. It makes no row for each, and teaches nothing.
func TestSweepOfAScannerMakesFewRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	for suite := range handshake.Suite(40) {
		line := o.ended(t, refusedHello(t, fmt.Sprint("SCAN", suite), suite))
		if got := line[logkey.Case] == ledger.Scanner; got != (suite >= sweepHellos-1) {
			t.Errorf("suite %d: the log says %v", suite, line)
		}
	}
	other := refusedHello(t, "OTHER", 1)
	other.Sender = netip.AddrPortFrom(neighbour, 40_000)
	o.ended(t, other)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Handshakes(context.Background(), ledger.Filter{})
	if err != nil || len(found) != sweepHellos {
		t.Fatalf("the ledger has %d handshakes, %v", len(found), err)
	}
	for _, h := range found {
		if scanner := h.Diagnoses[0].Case == ledger.Scanner; scanner != (h.Session != "OTHER") {
			t.Errorf("the ledger has %+v", h)
		}
	}
}

// A sender that fails again and again with the same ClientHello is no scanner.
func TestASenderThatRetriesIsNoScanner(t *testing.T) {
	s := newSweeps()
	for i := range 100 {
		r := refusedHello(t, fmt.Sprint(i), 1)
		grease := handshake.Group(0x0a0a + 0x1010*(i%16))
		r.Transcript.ClientHello.Groups = append([]handshake.Group{grease}, r.Transcript.ClientHello.Groups...)
		r.Transcript.ClientHello.PSK, r.Transcript.ClientHello.ServerName = i%2 == 0, fmt.Sprint("mx", i)
		if scanner, before := s.note(r); scanner || before != nil {
			t.Fatalf("session %d is taken for a scanner's", i)
		}
	}
}

// A stranger with many addresses does not hide another's scan.
func TestAStrangerHidesNoScanner(t *testing.T) {
	s := newSweeps()
	for i := range sweepHellos - 1 {
		s.note(refusedHello(t, fmt.Sprint("SCAN", i), handshake.Suite(i)))
	}
	for i := range 3 * maxSweeps {
		r := refusedHello(t, "X", 1)
		r.Sender = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		s.note(r)
	}
	if scanner, before := s.note(refusedHello(t, "SCAN4", 4)); !scanner || len(before) != 4 {
		t.Errorf("a scanner: %v, with %d sessions before", scanner, len(before))
	}
}

// A host with IPv6 has 2^64 addresses, and may use a new one for each connection.
func TestScannerIsRecognisedByItsIPv6Network(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	for i := range 10 {
		r := refusedHello(t, fmt.Sprint("SCAN", i), handshake.Suite(i))
		r.Sender = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 15: byte(i)}), 40_000)
		if line := o.ended(t, r); (line[logkey.Case] == ledger.Scanner) != (i >= 4) {
			t.Errorf("handshake %d: the log says %v", i, line)
		}
	}
	other := refusedHello(t, "OTHER", 1)
	other.Sender = netip.MustParseAddrPort("[2001:db8:0:1::1]:40000")
	if line := o.ended(t, other); line[logkey.Case] == ledger.Scanner {
		t.Errorf("of another network the log says %v", line)
	}
}
