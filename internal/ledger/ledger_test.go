package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/sessionticket"
)

var noon = time.Date(2026, 7, 29, 12, 0, 0, 0, time.UTC)

// failure is a failed handshake at noon.
func failure(session string) Handshake {
	return Handshake{
		Session: session, At: noon,
		Address: netip.MustParseAddr("192.0.2.7"), Network: netip.MustParsePrefix("192.0.2.0/24"),
		EHLO: "mail.sender.example", Fingerprint: "t13d1516h2_8daaf6152771_02713d6af862",
		Outcome: Failed, Mode: sessionticket.Stock,
		Stopped: "closed silently after the ticket", Next: "first-write",
		Diagnoses: []Diagnosis{{"early-ticket", 0.9, []string{"the ticket was early"}}, {"port-scanner", 0.3, []string{}}},
		Transcript: []byte(`{"version":2,"start":"0001-01-01T00:00:00Z","view":"server","completed":false,"use":"unused",` +
			`"end":{"kind":"open","by":"unknown","after":0}}`),
	}
}

// success is a completed handshake.
func success(session string) Handshake {
	h := failure(session)
	h.Outcome, h.Version, h.Suite, h.Group = Full, 0x0304, 0x1301, 29
	h.Stopped, h.Next, h.Diagnoses, h.Transcript = "", "", nil, nil
	return h
}

// with returns h with a change.
func with(h Handshake, change func(*Handshake)) Handshake {
	change(&h)
	return h
}

// written opens a ledger in a new folder, adds events, closes it and returns its path.
func written(t *testing.T, events ...event) string {
	t.Helper()
	path := empty(t)
	l := Open(path, Options{})
	for _, e := range events {
		l.add(e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func reader(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// sessions returns the sessions of the handshakes that match f, in order.
func sessions(t *testing.T, r *Reader, f Filter) string {
	t.Helper()
	found, err := r.Handshakes(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range found {
		names = append(names, h.Session)
	}
	return strings.Join(names, " ")
}

// until waits until another goroutine or process has done something.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("in three minutes: not %s", what)
		case <-tick.C:
		}
	}
}

func TestHandshakeIsReadAsAdded(t *testing.T) {
	want := failure("7Q2F")
	r := reader(t, written(t, success("6P1E"), want))
	got, err := r.Handshake(t.Context(), "7Q2F")
	if err != nil {
		t.Fatal(err)
	}
	want.ID = 2
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	listed, err := r.Handshakes(t.Context(), Filter{Failed: true})
	if err != nil {
		t.Fatal(err)
	}
	want.Transcript = nil
	if len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
		t.Errorf("listed\n%+v, want\n%+v", listed, want)
	}
	if got, err := r.Handshake(t.Context(), "6P1E"); err != nil || got.Outcome != Full || got.Transcript != nil {
		t.Errorf("healthy: %+v, %v", got, err)
	}
	if _, err := r.Handshake(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an unknown session: %v, want fs.ErrNotExist", err)
	}
}

func TestFilters(t *testing.T) {
	r := reader(t, written(t,
		failure("A"),
		with(success("B"), func(h *Handshake) { h.At = noon.Add(time.Minute) }),
		with(failure("C"), func(h *Handshake) {
			h.At, h.Diagnoses = noon.Add(2*time.Minute), nil
			h.Address, h.Network = netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("2001:db8::/48")
			h.EHLO = "MX_1.other.example"
		}),
		with(success("D"), func(h *Handshake) {
			h.At, h.Address = noon.Add(3*time.Minute), netip.MustParseAddr("192.0.2.8")
		}),
	))
	for _, test := range []struct {
		name string
		f    Filter
		want string
	}{
		{"all, the newest first", Filter{}, "D C B A"},
		{"some", Filter{Limit: 2}, "D C"},
		{"since", Filter{Since: noon.Add(time.Minute)}, "D C B"},
		{"until before", Filter{Since: noon.Add(time.Minute), Until: noon.Add(3 * time.Minute)}, "C B"},
		{"failed until", Filter{Failed: true, Until: noon.Add(time.Minute)}, "A"},
		{"case until", Filter{Case: Unknown, Until: noon.Add(2 * time.Minute)}, ""},
		{"of a network until", Filter{Sender: "192.0.2.0/24", Until: noon.Add(time.Minute)}, "A"},
		{"following until", Filter{After: 1, Until: noon.Add(2 * time.Minute)}, "B"},
		{"failed", Filter{Failed: true}, "C A"},
		{"case", Filter{Case: "early-ticket"}, "A"},
		{"second diagnosis", Filter{Case: "port-scanner"}, "A"},
		{"unknown case", Filter{Case: Unknown}, "C"},
		{"case of a sender", Filter{Case: Unknown, Sender: "192.0.2.0/24"}, ""},
		{"address", Filter{Sender: "192.0.2.8"}, "D"},
		{"mapped address", Filter{Sender: "::ffff:192.0.2.8"}, "D"},
		{"network", Filter{Sender: "192.0.2.0/24"}, "D B A"},
		{"wider network", Filter{Sender: "192.0.0.0/8"}, "D B A"},
		{"everything of a family", Filter{Sender: "0.0.0.0/0"}, "D B A"},
		{"narrower network", Filter{Sender: "192.0.2.8/31"}, "D"},
		{"other network", Filter{Sender: "192.0.3.0/24"}, ""},
		{"IPv6", Filter{Sender: "2001:db8::/32"}, "C"},
		{"part of the name in any case", Filter{Sender: "mx_1.OTHER"}, "C"},
		{"no pattern", Filter{Sender: "mx%"}, ""},
		{"failed of a sender", Filter{Sender: "sender.example", Failed: true}, "A"},
		{"following", Filter{After: 2}, "C D"},
		{"following a case", Filter{After: 1, Case: Unknown}, "C"},
		{"following failures of a sender", Filter{After: 1, Failed: true, Sender: "other"}, "C"},
	} {
		if got := sessions(t, r, test.f); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// The bytes of this IPv6 network begin like those of the IPv4 network.
func TestNetworksOfBothFamiliesAreNotMixed(t *testing.T) {
	r := reader(t, written(t, failure("A"), with(failure("B"), func(h *Handshake) {
		h.Address, h.Network = netip.MustParseAddr("c000:200::1"), netip.MustParsePrefix("c000:200::/48")
	})))
	for sender, want := range map[string]netip.Prefix{"192.0.2.0/24": failure("A").Network, "c000::/16": netip.MustParsePrefix("c000:200::/48")} {
		found, err := r.Senders(t.Context(), Filter{Sender: sender})
		if err != nil || len(found) != 1 || found[0].Network != want {
			t.Errorf("%s: %+v, %v; want %v", sender, found, err, want)
		}
	}
}

func TestReturnInPlaintextRefersToTheFailure(t *testing.T) {
	plain := func(session string, change func(*Handshake)) Handshake {
		h := with(success(session), change)
		h.Outcome, h.Fingerprint, h.Version, h.Suite, h.Group = Plaintext, "", 0, 0, 0
		return h
	}
	elsewhere := func(h *Handshake) { h.Address = netip.MustParseAddr("192.0.2.99") }
	r := reader(t, written(t,
		plain("before", func(h *Handshake) {}),
		failure("A"),
		plain("address", func(h *Handshake) { h.EHLO = "renamed.example" }),
		plain("name", elsewhere),
		plain("neighbour", func(h *Handshake) { elsewhere(h); h.EHLO = "neighbour.example" }),
		plain("late", func(h *Handshake) { h.At = noon.Add(8 * 24 * time.Hour) }),
		success("completed"),
		plain("by choice", func(h *Handshake) {}),
	))
	found, err := r.Handshakes(t.Context(), Filter{Returned: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := sessions(t, r, Filter{Returned: true}); got != "name address" {
		t.Errorf("returned: %q, want name and address", got)
	}
	for _, h := range found {
		if h.After != "A" {
			t.Errorf("%s came after %q, want A", h.Session, h.After)
		}
	}
	senders, err := r.Senders(t.Context(), Filter{Returned: true})
	if err != nil || len(senders) != 2 || senders[0].Returned+senders[1].Returned != 2 {
		t.Errorf("senders that returned: %+v, %v; want two, once each", senders, err)
	}
}

func TestOnlyTheFailedSendersSuccessEndsItsFailure(t *testing.T) {
	for name, test := range map[string]struct {
		failed, completed func(*Handshake)
		ended             bool
	}{
		"the same":             {func(*Handshake) {}, func(*Handshake) {}, true},
		"other software":       {func(*Handshake) {}, func(h *Handshake) { h.Fingerprint = "other" }, false},
		"another name":         {func(*Handshake) {}, func(h *Handshake) { h.EHLO = "other.example" }, false},
		"before a ClientHello": {func(h *Handshake) { h.Fingerprint = "" }, func(*Handshake) {}, true},
		"another network":      {func(*Handshake) {}, func(h *Handshake) { h.Network = netip.MustParsePrefix("198.51.100.0/24") }, false},
	} {
		plain := with(success("P"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" })
		r := reader(t, written(t, with(failure("F"), test.failed), with(success("S"), test.completed), plain))
		want := "P"
		if test.ended {
			want = ""
		}
		if got := sessions(t, r, Filter{Returned: true}); got != want {
			t.Errorf("%s completed: returned %q, want %q", name, got, want)
		}
	}
}

func TestSendersAreCountedByDay(t *testing.T) {
	tomorrow := func(h *Handshake) { h.At = noon.Add(24 * time.Hour) }
	resumed := func(h *Handshake) { h.Outcome = Resumed }
	r := reader(t, written(t, failure("A"), success("B"), with(with(success("C"), resumed), tomorrow), with(success("D"), tomorrow),
		with(success("E"), func(h *Handshake) { h.EHLO = "other.example" })))
	senders, err := r.Senders(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	a := failure("A")
	want := Sender{Network: a.Network, EHLO: a.EHLO, Fingerprint: a.Fingerprint, First: noon, Last: noon.Add(24 * time.Hour), Worked: noon.Add(24 * time.Hour),
		Counts: Counts{Full: 2, Resumed: 1, Failed: 1}}
	if len(senders) != 2 || senders[0] != want {
		t.Errorf("senders\n%+v, want first\n%+v", senders, want)
	}
	since, err := r.Senders(t.Context(), Filter{Since: noon.Add(20 * time.Hour)})
	if err != nil || len(since) != 1 || since[0].Counts != (Counts{Full: 1, Resumed: 1}) {
		t.Errorf("since the second day: %+v, %v", since, err)
	}
	days, err := r.Days(t.Context(), Filter{Sender: a.EHLO})
	if err != nil {
		t.Fatal(err)
	}
	midnight := noon.Truncate(24 * time.Hour)
	wantDays := []Day{
		{Day: midnight.Add(24 * time.Hour), Version: 0x0304, Suite: 0x1301, Group: 29, Counts: Counts{Full: 1, Resumed: 1}},
		{Day: midnight, Counts: Counts{Failed: 1}},
		{Day: midnight, Version: 0x0304, Suite: 0x1301, Group: 29, Counts: Counts{Full: 1}},
	}
	if !reflect.DeepEqual(days, wantDays) {
		t.Errorf("days\n%+v, want\n%+v", days, wantDays)
	}
}

func TestDecisionsAndStatesAreReadAsAdded(t *testing.T) {
	network := netip.MustParsePrefix("192.0.2.0/24")
	moved := fallback.Decision{
		At: noon, Kind: fallback.FellBack, Network: network, Fingerprint: "t13",
		From: sessionticket.Stock, To: sessionticket.FirstWrite, Why: "closed after the ticket",
	}
	forgot := fallback.Decision{At: noon.Add(time.Hour), Kind: fallback.Forgotten}
	old := fallback.State{Network: network, Fingerprint: "t13", Mode: sessionticket.Stock, Seen: noon}
	changed := fallback.State{Network: network, Fingerprint: "t13", Mode: sessionticket.FirstWrite, Since: noon, Why: "it failed", Seen: noon.Add(time.Hour)}
	changed.Worked[sessionticket.FirstWrite], changed.Failed[sessionticket.Stock], changed.Tried[sessionticket.Stock] = 7, 1, true
	all := fallback.State{Network: fallback.Everywhere, Fingerprint: "t13", Seen: noon, Areas: []netip.Prefix{network}, Helps: sessionticket.TLS12}
	r := reader(t, written(t, decision(moved), decision(forgot), state(old), state(changed), state(all)))
	if got, err := r.Decisions(t.Context(), Filter{}); err != nil || !slices.Equal(got, []Decision{{Decision: forgot}, {Decision: moved}}) {
		t.Errorf("decisions %+v, %v", got, err)
	}
	if got, err := r.Decisions(t.Context(), Filter{Until: noon.Add(time.Hour)}); err != nil || !slices.Equal(got, []Decision{{Decision: moved}}) {
		t.Errorf("decisions in an hour: %+v, %v", got, err)
	}
	if got, err := r.Decisions(t.Context(), Filter{Sender: "192.0.2.7"}); err != nil || !slices.Equal(got, []Decision{{Decision: moved}}) {
		t.Errorf("decisions on an address: %+v, %v", got, err)
	}
	if got, err := r.States(t.Context()); err != nil || !reflect.DeepEqual(got, []fallback.State{changed, all}) {
		t.Errorf("states %+v, %v", got, err)
	}
}

func TestDecisionsOnAFingerprintMatchItsSenders(t *testing.T) {
	own := fallback.Decision{At: noon, Kind: fallback.FellBack, Network: failure("").Network, Fingerprint: "other", Why: "its network's"}
	whole := fallback.Decision{At: noon.Add(time.Hour), Kind: fallback.FellBack, Network: fallback.Everywhere, Fingerprint: failure("").Fingerprint, Why: "several networks"}
	stranger := fallback.Decision{At: noon, Kind: fallback.FellBack, Network: fallback.Everywhere, Fingerprint: "stranger"}
	elsewhere := fallback.Decision{At: noon, Kind: fallback.FellBack, Network: netip.MustParsePrefix("198.51.100.0/24")}
	v6 := with(success("B"), func(h *Handshake) {
		h.Address, h.Network = netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("2001:db8::/48")
		h.EHLO = "v6.example"
	})
	r := reader(t, written(t, failure("A"), v6, decision(own), decision(whole), decision(stranger), decision(elsewhere)))
	for sender, want := range map[string][]Decision{
		"192.0.2.7":      {{Decision: whole}, {Decision: own}},
		"sender.example": {{Decision: whole}, {Decision: own}},
		"2001:db8::/32":  {{Decision: whole}},
		"v6.example":     {{Decision: whole}},
		"203.0.113.1":    nil,
	} {
		if got, err := r.Decisions(t.Context(), Filter{Sender: sender}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("decisions on %s: %+v, %v; want %+v", sender, got, err, want)
		}
	}
}

func TestUntrustedTextIsBounded(t *testing.T) {
	h := failure("A")
	h.EHLO = strings.Repeat("ä", 5000) + "\xff"
	h.Transcript = bytes.Repeat([]byte("x"), maxTranscript+1)
	for range 100 {
		h.Diagnoses = append(h.Diagnoses, Diagnosis{Case: strings.Repeat("c", len(h.Diagnoses))})
	}
	r := reader(t, written(t, h, with(success("B"), func(h *Handshake) { h.EHLO = "bad\xff" })))
	got, err := r.Handshake(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("ä", 127); got.EHLO != want {
		t.Errorf("name of %d bytes, want the first whole letters within 255", len(got.EHLO))
	}
	if got.Transcript != nil || len(got.Diagnoses) != maxDiagnoses {
		t.Errorf("transcript of %d bytes, %d diagnoses kept", len(got.Transcript), len(got.Diagnoses))
	}
	if got := sessions(t, r, Filter{Sender: "bad?"}); got != "B" {
		t.Errorf("a name of bad UTF-8 is not kept as such: %q", got)
	}
}

// An odd event must not lose the batch that it is in.
func TestEmptyEventsAreHarmless(t *testing.T) {
	r := reader(t, written(t, Handshake{}, Handshake{Outcome: Failed}, decision{}, state{}, failure("A")))
	if got := sessions(t, r, Filter{Failed: true}); got != "A " {
		t.Errorf("failed: %q, want A and one without a name", got)
	}
}

func TestFilesAreReadableByTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger?#% 1") // also: any name is valid
	l := Open(path, Options{})
	defer l.Close()
	for _, end := range suffixes {
		info, err := os.Stat(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", info.Name(), info.Mode(), fs.FileMode(mode))
		}
	}
}

func TestReadingWithoutALedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	if _, err := OpenReader(path); !errors.Is(err, ErrNoLedger) {
		t.Errorf("OpenReader: %v, want ErrNone", err)
	}
	if err := SetPin(t.Context(), path, fallback.Pin{}); !errors.Is(err, ErrNoLedger) {
		t.Errorf("SetPin: %v, want ErrNone", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made, which the server's user may not own: %v", err)
	}
}

// Counts since an early day are computed differently from those since a late one.
func TestSendersAreCountedSinceAnyDay(t *testing.T) {
	const days = 9
	var noted []event
	for day := range days {
		for range day + 1 {
			noted = append(noted, with(success(fmt.Sprint(len(noted))), func(h *Handshake) {
				h.At = noon.Add(time.Duration(day) * 24 * time.Hour)
				h.EHLO = fmt.Sprint("mail", day%3)
			}))
		}
	}
	r := reader(t, written(t, noted...))
	for since := range days {
		want := make(map[string]int64)
		for day := since; day < days; day++ {
			want[fmt.Sprint("mail", day%3)] += int64(day + 1)
		}
		senders, err := r.Senders(t.Context(), Filter{Since: noon.Add(time.Duration(since) * 24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int64)
		for _, s := range senders {
			got[s.EHLO] = s.Full
		}
		if !maps.Equal(got, want) {
			t.Errorf("since day %d: %v, want %v", since, got, want)
		}
	}
}
