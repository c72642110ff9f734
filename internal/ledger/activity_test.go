package ledger

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

var theDay = Span{From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour)}

// by returns h with an address and an EHLO name.
func by(h Handshake, addr, name string) Handshake {
	h.Address = netip.MustParseAddr(addr)
	h.Network, _ = h.Address.Prefix(24)
	h.EHLO = name
	return h
}

// seen returns the activity in lines.
func seen(t *testing.T, path string, in Span, whose SenderQuery) (lines []string) {
	t.Helper()
	found, err := reader(t, path).Activity(t.Context(), in, whose)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		lines = append(lines, fmt.Sprintf("%s %s %+v %v %s-%s", s.Address, s.EHLO, s.Counts, s.Cases, s.First.Format("15:04"), s.Last.Format("15:04")))
	}
	return lines
}

func TestActivityOfSendersInASpan(t *testing.T) {
	t.Parallel()
	later := func(h *Handshake) { h.At = noon.Add(time.Hour) }
	plain := func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" }
	path := written(t,
		by(failure("A"), "192.0.2.7", "a.Big.example"),
		by(with(failure("B"), later), "192.0.2.7", "a.Big.example"),
		by(with(failure("C"), func(h *Handshake) { later(h); h.Diagnoses = nil }), "192.0.2.7", "a.Big.example"),
		by(with(success("D"), later), "192.0.2.7", "a.Big.example"),
		by(with(success("E"), plain), "192.0.2.8", "big.example"),
		by(success("F"), "192.0.2.9", "notbig.example"),
		by(success("G"), "192.0.2.9", "big.example.evil.example"),
		by(success("H"), "198.51.100.1", "[198.51.100.1]"),
		by(with(success("I"), func(h *Handshake) { h.At = theDay.To }), "192.0.2.7", "a.Big.example"),
		by(with(success("J"), func(h *Handshake) { h.At = theDay.From.Add(-time.Millisecond) }), "192.0.2.7", "a.Big.example"),
	)
	big := "192.0.2.7 a.Big.example {Full:1 Resumed:0 Failed:3 Plaintext:0 Returned:0} map[early-ticket:2 unknown:1] 12:00-13:00"
	for name, tt := range map[string]struct {
		whose SenderQuery
		want  []string
	}{
		"a domain and what is below it, in any case": {SenderQuery{Domains: []string{"BIG.example"}},
			[]string{big, "192.0.2.8 big.example {Full:0 Resumed:0 Failed:0 Plaintext:1 Returned:0} map[] 12:00-12:00"}},
		"an address, not its neighbours": {SenderQuery{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}, []string{big}},
		"an address as IPv6 writes it": {SenderQuery{Addresses: []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.1")}},
			[]string{"198.51.100.1 [198.51.100.1] {Full:1 Resumed:0 Failed:0 Plaintext:0 Returned:0} map[] 12:00-12:00"}},
		"none":        {SenderQuery{}, nil},
		"a wild card": {SenderQuery{Domains: []string{"%"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := seen(t, path, theDay, tt.whose); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// A host whose name DNS confirmed is its organization's, whatever it says in EHLO.
func TestActivityOfAnOrganizationByReverseDNS(t *testing.T) {
	t.Parallel()
	path := written(t,
		by(with(failure("A"), func(h *Handshake) { h.Name = "out.big.example" }), "192.0.2.7", "localhost"),
		by(with(failure("B"), func(h *Handshake) { h.Fingerprint, h.Name = "other", "" }), "192.0.2.7", "localhost"),
		by(failure("C"), "198.51.100.7", "localhost"),
	)
	found, err := reader(t, path).Activity(t.Context(), theDay, SenderQuery{Domains: []string{"BIG.example"}})
	if err != nil || len(found) != 1 || found[0].Failed != 1 || found[0].Name != "out.big.example" {
		t.Errorf("got %+v, %v; want the failure of out.big.example", found, err)
	}
}

func TestActivityHasPlaintextAfterAFailure(t *testing.T) {
	t.Parallel()
	path := written(t, failure("A"), with(success("B"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" }))
	want := []string{"192.0.2.7 mail.sender.example {Full:0 Resumed:0 Failed:1 Plaintext:1 Returned:1} map[early-ticket:1] 12:00-12:00"}
	if got := seen(t, path, theDay, SenderQuery{Domains: []string{"sender.example"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFailingAddressesAreOrderedByFailures(t *testing.T) {
	t.Parallel()
	path := written(t,
		by(success("A"), "192.0.2.1", "fine"),
		by(failure("B"), "192.0.2.2", "once"),
		by(failure("C"), "192.0.2.3", "twice"),
		by(with(success("D"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" }), "192.0.2.3", "twice"),
		by(with(failure("E"), func(h *Handshake) { h.At = theDay.To }), "192.0.2.4", "later"),
	)
	for limit, want := range map[int][]netip.Addr{
		9: {netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.2")},
		1: {netip.MustParseAddr("192.0.2.3")},
	} {
		got, err := reader(t, path).FailingAddresses(t.Context(), theDay, limit)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("at most %d: %v, %v; want %v", limit, got, err, want)
		}
	}
}

// A handshake without a command after it counts as completed in all other counts.
func TestActivityHasUnusedHandshakes(t *testing.T) {
	t.Parallel()
	path := written(t, success("A"), with(success("B"), func(h *Handshake) { h.Unused = true }))
	whose := SenderQuery{Domains: []string{"sender.example"}}
	found, err := reader(t, path).Activity(t.Context(), theDay, whose)
	if err != nil || len(found) != 1 || found[0].Full != 2 || found[0].Unused != 1 {
		t.Errorf("got %+v, %v; want 2 full handshakes, one unused", found, err)
	}
}

// A diagnosis that is only possible counts for its case, and is known to be unsure.
func TestActivityKnowsUnsureDiagnoses(t *testing.T) {
	t.Parallel()
	unsure := func(h *Handshake) {
		h.Diagnoses = []Diagnosis{{"early-ticket", 0.5, nil}, {"certificate-refused", 0.4, nil}}
	}
	path := written(t, failure("A"), with(failure("B"), unsure), with(failure("C"), unsure), with(failure("D"), func(h *Handshake) { h.Diagnoses = nil }))
	found, err := reader(t, path).Activity(t.Context(), theDay, SenderQuery{Domains: []string{"sender.example"}})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %+v, %v", found, err)
	}
	cases, guesses := map[string]int64{"early-ticket": 3, Unknown: 1}, map[string]int64{"early-ticket": 2}
	if !reflect.DeepEqual(found[0].Cases, cases) || !reflect.DeepEqual(found[0].Unsure, guesses) {
		t.Errorf("cases %v, unsure %v, want %v, %v", found[0].Cases, found[0].Unsure, cases, guesses)
	}
}
