package ledger

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/testcpu"
	"postern/sessionticket"
)

// A flood writes hostile failures, each with a ClientHello, a name and a fingerprint of its own,
// and what the fallback learns from them.
type flood struct {
	*kept
	random *rand.Rand
	sent   int
	at     string // the host at which they are; empty: this one
}

// from writes n failures of addresses that host makes up.
func (f *flood) from(n int, host func(i int) netip.Addr) {
	f.t.Helper()
	for part := range n / maxBatch {
		var events []event
		for i := range maxBatch {
			addr := host(part*maxBatch + i)
			events = append(events, f.failure(addr), decision{At: noon, Network: admission.Network(addr), Fingerprint: f.word()})
			if f.at == "" {
				events = append(events, f.state(addr)) // hosts share those in another way
			}
		}
		f.writeAt(f.at, events)
		if err := f.bySize(f.store); err != nil {
			f.t.Fatal(err)
		}
	}
}

// writeAt writes what was recorded at a host.
func (k *kept) writeAt(host string, events []event) {
	k.t.Helper()
	if host == "" {
		if err := k.write(events); err != nil {
			k.t.Fatal(err)
		}
		return
	}
	err := k.transact(func() error {
		_, position, err := k.known(host)
		if err != nil {
			return err
		}
		var all []taken
		for i, e := range events {
			all = append(all, taken{position + 1 + int64(i), e})
		}
		return k.take(host, 0, all)
	})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (f *flood) failure(addr netip.Addr) Handshake {
	f.sent++
	h := failure(fmt.Sprint("hostile", f.sent))
	h.Address, h.Network = addr, admission.Network(addr)
	h.EHLO, h.Fingerprint = f.word(), f.word()
	suites := bytes.Repeat([]byte(" "), 500)
	for i := range suites {
		suites[i] = byte(f.random.Uint32())
	}
	h.Transcript = []byte(hex.EncodeToString(suites))
	return h
}

func (f *flood) state(addr netip.Addr) state {
	return state{Network: admission.Network(addr), Fingerprint: f.word(), Mode: sessionticket.NoTicket, Since: noon, Seen: noon,
		Why: "closed silently after the ticket in mode own-write; no session has completed in that mode"}
}

func (f *flood) word() string { return fmt.Sprintf("t13d1516h2_%016x", f.random.Uint64()) }

// IPv4 addresses of one /24, of all /24s of a /16; IPv6 addresses, each of a /48 of its own in one
// /32; and addresses all over the Internet.
var hosts = []func(i int) netip.Addr{
	func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) },
	func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, byte(i), byte(i >> 8)}) },
	func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, byte(i >> 8), byte(i), 15: 1})
	},
	func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{100 + byte(i%16), byte(i / 16), byte(i / 4096), 1})
	},
}

// A stranger can make any number of handshakes fail. An honest sender's history stays readable
// through all of them: its sessions with the transcript of its failure, its mode and the decision
// on it, its counts, the report of its day and the operator's pin.
func TestFloodLeavesAnHonestSendersHistory(t *testing.T) {
	t.Parallel()
	f := &flood{kept: newKept(t, retention{maxAge: 90 * day, maxSize: 13 << 20}), random: rand.New(rand.NewPCG(1, 2))}
	honest := f.honest()
	for _, host := range hosts {
		f.from(2*maxBatch, host)
		honest.check(t, f.path)
	}
	if size := f.size(); size > f.maxSize {
		t.Errorf("the file and its journal come to %d KiB, want %d KiB at most", size>>10, f.maxSize>>10)
	}
	r := reader(t, f.path)
	if last, err := r.Handshake(t.Context(), fmt.Sprint("hostile", f.sent)); err != nil || last.Transcript == nil {
		t.Errorf("the last hostile failure: %v, %d bytes of transcript; want it as it was", err, len(last.Transcript))
	}
	if days, err := r.Days(t.Context(), Filter{}); err != nil || days[0].Failed != int64(f.sent+1) {
		t.Errorf("the days count %+v, %v; want all %d failures", days, err, f.sent+1)
	}
	f.expectSendersCounted()
	t.Logf("of %d hostile failures %d are kept; the file has %d KiB", f.sent, len(mustRead(t, r)), f.size()>>10)
}

// What strangers do at one host of a fleet costs no other host its history, there or here: an honest
// sender's sessions stay readable, at whichever of them it was.
func TestFloodAtOneHostLeavesTheHistoryOfOthers(t *testing.T) {
	t.Parallel()
	for flooded, honest := range map[string]string{"": "mx2", "mx1": "", "mx2": "mx3"} {
		t.Run(fmt.Sprintf("at %q", flooded), func(t *testing.T) {
			t.Parallel()
			f := &flood{kept: newKept(t, retention{maxAge: 90 * day, maxSize: 11 << 20}), random: rand.New(rand.NewPCG(1, 2)), at: flooded}
			events := []event{failure("honest"), decision{At: noon, Network: failure("").Network, Fingerprint: "honest"}}
			for i := range 49 {
				events = append(events, success(fmt.Sprint("honest", i)))
			}
			f.writeAt(honest, events)
			for _, host := range hosts {
				f.from(2*maxBatch, host)
			}
			if size := f.size(); size > f.maxSize {
				t.Errorf("the file and its journal come to %d KiB, want %d KiB at most", size>>10, f.maxSize>>10)
			}
			if kept, err := f.number(`SELECT count(*) FROM handshakes`); err != nil || kept >= int64(f.sent) {
				t.Fatalf("%d handshakes are kept, %v: the file is not full", kept, err)
			}
			r := reader(t, f.path)
			at := Filter{Host: cmp.Or(honest, Here), Sender: "mail.sender.example", Limit: maxLimit}
			if found, err := r.Handshakes(t.Context(), at); err != nil || len(found) != 50 {
				t.Errorf("%d sessions are left, %v; want all 50", len(found), err)
			}
			if failed, err := r.Handshake(t.Context(), "honest"); err != nil || failed.Transcript == nil {
				t.Errorf("the transcript is %q, %v", failed.Transcript, err)
			}
			if senders, err := r.Senders(t.Context(), at); err != nil || len(senders) != 1 || senders[0].Counts != (Counts{Full: 49, Failed: 1}) {
				t.Errorf("senders %+v, %v", senders, err)
			}
			if decisions, err := r.Decisions(t.Context(), at); err != nil || len(decisions) != 1 {
				t.Errorf("%d decisions, %v; want one", len(decisions), err)
			}
			f.expectSendersCounted()
		})
	}
}

// This host has half of the room at least, and the others share the rest equally. Each may use what
// others leave.
func TestHostsShareTheRoomForHandshakes(t *testing.T) {
	network := func(i int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 24) }
	const unit = 1000 * sessionSize
	for name, test := range map[string]struct {
		have, keep map[int64]int64 // by host, in units
		free       int64
	}{
		"this host is the largest":   {map[int64]int64{0: 90, 1: 5, 2: 5}, map[int64]int64{0: 50}, 40},
		"another host is":            {map[int64]int64{0: 5, 1: 90, 2: 5}, map[int64]int64{1: 50}, 40},
		"the others together are":    {map[int64]int64{0: 40, 1: 30, 2: 30, 3: 10}, map[int64]int64{1: 15, 2: 15}, 30},
		"all have too much":          {map[int64]int64{0: 100, 1: 100, 2: 100}, map[int64]int64{0: 50, 1: 25, 2: 25}, 200},
		"a host that has little":     {map[int64]int64{0: 100, 1: 100, 2: 1}, map[int64]int64{0: 50, 1: 49}, 101},
		"the others leave something": {map[int64]int64{0: 100, 1: 10}, map[int64]int64{0: 70}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			var all []holding
			for host, n := range test.have {
				for i := range 4 { // networks, of different areas
					all = append(all, holding{host: host, network: network(i), sessions: 250 * n})
				}
			}
			got := make(map[int64]int64)
			for _, c := range cuts(all, test.free*unit) {
				got[c.host] += c.keep
			}
			for host, n := range got {
				got[host] = n / unit
			}
			if !maps.Equal(got, test.keep) {
				t.Errorf("they keep %v, want %v", got, test.keep)
			}
		})
	}
}

// mustRead returns all handshakes, at most 10,000.
func mustRead(t testing.TB, r *Reader) []Handshake {
	t.Helper()
	all, err := r.Handshakes(t.Context(), Filter{Limit: maxLimit})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// expectSendersCounted compares the counts of senders with those of their days and weeks.
func (k *kept) expectSendersCounted() {
	k.t.Helper()
	wrong, err := k.number(`SELECT count(*) FROM senders AS s WHERE failed <> (SELECT sum(failed) FROM days WHERE sender = s.id)
		OR failed <> (SELECT sum(failed) FROM weeks WHERE sender = s.id)`)
	stray, again := k.number(`SELECT count(*) FROM days WHERE sender > 0 AND sender NOT IN (SELECT id FROM senders)`)
	if wrong+stray != 0 || err != nil || again != nil {
		k.t.Errorf("%d senders are counted wrongly, %d counts are of no sender, %v %v", wrong, stray, err, again)
	}
}

// A history is what the ledger has of an honest sender.
type history struct {
	sessions []string
	failed   Handshake
	state    fallback.State
	pin      fallback.Pin
}

// honest writes the history of an honest sender.
func (k *kept) honest() history {
	k.t.Helper()
	h := history{failed: failure("honest-failed"), state: fallback.State{
		Network: netip.MustParsePrefix("192.0.2.0/24"), Fingerprint: "t13d1516h2_8daaf6152771_02713d6af862",
		Mode: sessionticket.NoTicket, Since: noon, Why: "it closed after the ticket", Seen: noon,
	}, pin: fallback.Pin{Network: netip.MustParsePrefix("198.51.100.0/24"), Mode: sessionticket.TLS12, Why: "an old gateway", Since: noon}}
	h.failed.At = noon.Add(-time.Hour)
	events := []event{h.failed, state(h.state), decision{At: noon, Network: h.state.Network, Fingerprint: h.state.Fingerprint, To: h.state.Mode}}
	h.sessions = append(h.sessions, h.failed.Session)
	for i := range 50 {
		s := success(fmt.Sprint("honest", i))
		s.At = noon.Add(-time.Duration(i) * time.Minute)
		events = append(events, s)
		h.sessions = append(h.sessions, s.Session)
	}
	if err := k.write(events); err != nil {
		k.t.Fatal(err)
	}
	err := k.transact(func() error { return insertPin(k.t.Context(), k.conn, h.pin) })
	if err == nil {
		_, err = AddReport(k.t.Context(), k.path, signed("1"))
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return h
}

func (h history) check(t testing.TB, path string) {
	t.Helper()
	r := reader(t, path)
	found, err := r.Handshakes(t.Context(), Filter{Sender: "mail.sender.example", Limit: maxLimit})
	for _, session := range h.sessions {
		if !slices.ContainsFunc(found, func(h Handshake) bool { return h.Session == session }) {
			t.Fatalf("the handshake %s is lost, %v", session, err)
		}
	}
	if failed, err := r.Handshake(t.Context(), h.failed.Session); err != nil || !bytes.Equal(failed.Transcript, h.failed.Transcript) {
		t.Errorf("the transcript is %s, %v", failed.Transcript, err)
	}
	states, err := r.States(t.Context())
	if err != nil || !slices.ContainsFunc(states, func(s fallback.State) bool { return s.Network == h.state.Network && s.Mode == h.state.Mode }) {
		t.Errorf("the learned mode is lost, %v", err)
	}
	if pins, err := r.Pins(t.Context()); err != nil || len(pins) != 1 || pins[0] != h.pin {
		t.Errorf("pins %v, %v", pins, err)
	}
	if reports, err := r.Reports(t.Context(), ReportFilter{}); err != nil || len(reports) != 1 {
		t.Errorf("%d reports, %v; want the one that was added", len(reports), err)
	}
	decisions, err := r.Decisions(t.Context(), Filter{Sender: "192.0.2.7"})
	if err != nil || len(decisions) != 1 {
		t.Errorf("%d decisions, %v; want one", len(decisions), err)
	}
	senders, err := r.Senders(t.Context(), Filter{Sender: "192.0.2.7"})
	if err != nil || len(senders) != 1 || senders[0].Counts != (Counts{Full: 50, Failed: 1}) {
		t.Errorf("senders %+v, %v; want all sessions counted", senders, err)
	}
}

// However large the file may be, all states that are kept are loaded at the next start. Otherwise
// newer ones of strangers could displace an honest sender's.
func TestStatesThatAreKeptCanBeLoaded(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		if limit := k.limit(1 << 50); k.table == "states" && limit != 131_072 {
			t.Errorf("%d states are kept", limit)
		}
	}
}

// BenchmarkFlood writes hostile failures to a ledger of the default size, of a /24, a /16, a /32 of
// IPv6 and all over the Internet in turns, and checks what is left of an honest sender. With
// -benchtime=1000000x they are three times what the file has room for.
func BenchmarkFlood(b *testing.B) {
	f := &flood{kept: newKept(b, retention{maxAge: 90 * day}), random: rand.New(rand.NewPCG(1, 2))}
	honest := f.honest()
	used := testcpu.Used(b)
	for f.sent < b.N {
		f.from(maxBatch, hosts[f.sent/maxBatch%len(hosts)])
	}
	b.ReportMetric((testcpu.Used(b)-used).Seconds()*1e6/float64(f.sent), "cpu-µs/failure")
	b.ReportMetric(float64(f.size()>>20), "MiB")
	kept, err := f.number(`SELECT count(*) FROM handshakes`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(kept), "kept")
	honest.check(b, f.path)
}

// Cutting a full file costs as much as it frees: SQLite finds the oldest handshakes of a network
// by an index, and sorts nothing.
func TestCutReadsOnlyWhatItFrees(t *testing.T) {
	k := newKept(t, retention{maxAge: 90 * day})
	for name, q := range map[string]*query{"transcripts": transcriptsOf(holding{id: 1}), "rows": rowsOf(holding{id: 1})} {
		plan := &query{}
		plan.add(`EXPLAIN QUERY PLAN `+q.text.String(), q.args...)
		steps, err := rows(t.Context(), k.conn, plan, func(scan scanner) (step string, err error) {
			var id, parent, unused int
			err = scan(&id, &parent, &unused, &step)
			return step, err
		})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(steps, "; ")
		if !strings.Contains(text, "handshakes_by_network") || strings.Contains(text, "SCAN") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("the oldest %s are found by %s", name, text)
		}
	}
}
