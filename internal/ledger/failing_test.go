package ledger

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at returns h as it would be some minutes after noon.
func at(minutes int, h Handshake) Handshake {
	h.At = noon.Add(time.Duration(minutes) * time.Minute)
	return h
}

var afternoon = Span{From: noon.Add(-time.Hour), To: noon.Add(6 * time.Hour)}

func failingSenders(t *testing.T, r *Reader) []FailingSender {
	t.Helper()
	found, err := r.Failing(t.Context(), afternoon, 100)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFailingSender(t *testing.T) {
	unused := with(success("U"), func(h *Handshake) { h.Unused = true })
	probe := with(success("P"), func(h *Handshake) { h.Probe = true })
	plaintext := with(success("T"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" })
	other := with(success("O"), func(h *Handshake) { h.Fingerprint = "t12i0310h2_0000" })
	for _, test := range []struct {
		name   string
		events []event
		want   string // failed, since, last, worked, other, plaintext: in minutes
	}{
		{"never failed", []event{at(0, success("A"))}, "[]"},
		{"failed, then worked", []event{at(0, failure("A")), at(9, success("B"))}, "[]"},
		{"worked, then failed twice", []event{at(0, success("A")), at(3, failure("B")), at(5, failure("C"))}, "[2 3 5 0 - - C]"},
		{"only failed", []event{at(1, failure("A"))}, "[1 1 1 - - - A]"},
		{"a handshake without a command decides nothing", []event{at(1, failure("A")), at(2, unused)}, "[1 1 1 - - - A]"},
		{"a probe decides nothing", []event{at(1, failure("A")), at(2, probe), at(3, with(failure("B"), func(h *Handshake) { h.Probe = true }))}, "[1 1 1 - - - A]"},
		{"plaintext after it", []event{at(1, failure("A")), at(2, plaintext), at(8, failure("B"))}, "[2 1 8 - - 2 B]"},
		{"another client of its name works", []event{at(0, other), at(1, failure("A")), at(4, other)}, "[1 1 1 - 4 - A]"},
		{"failed before the span", []event{at(-90, failure("A"))}, "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			minute := func(at time.Time) string {
				if at.IsZero() {
					return "-"
				}
				return fmt.Sprint(int(at.Sub(noon).Minutes()))
			}
			var got []string
			for _, f := range failingSenders(t, reader(t, written(t, test.events...))) {
				got = append(got, fmt.Sprint(f.Failed, " ", minute(f.Since), " ", minute(f.Last), " ", minute(f.Worked), " ", minute(f.OtherWorked), " ", minute(f.Plaintext), " ", f.Session))
				if f.Diagnosis.Case != "early-ticket" || f.Diagnosis.Confidence != 0.9 || f.Next != "first-write" {
					t.Errorf("of the last handshake: %+v", f)
				}
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

// The counts are kept in batches; they are those that the rows give.
func TestFailingCountsAreThoseOfTheRows(t *testing.T) {
	const differ = `SELECT count(*) FROM senders AS s,
		(SELECT s2.id AS of, coalesce(max(h.id) FILTER (WHERE h.outcome <> 3 AND NOT h.unused AND NOT h.probe), 0) AS good
			FROM senders AS s2 LEFT JOIN handshakes AS h ON h.sender = s2.id GROUP BY s2.id) AS g
		WHERE g.of = s.id AND (
			s.failing <> (SELECT count(*) FROM handshakes WHERE sender = s.id AND id > g.good AND outcome = 3 AND NOT probe) OR
			s.failing > 0 AND s.failing_since <> (SELECT at FROM handshakes WHERE sender = s.id AND id > g.good AND outcome = 3 AND NOT probe ORDER BY id LIMIT 1) OR
			s.worked <> (SELECT coalesce(max(at), 0) FROM handshakes WHERE sender = s.id AND outcome <> 3 AND NOT unused AND NOT probe))`
	s, _, err := openStore(empty(t), migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rapid.Check(t, func(t *rapid.T) {
		if err := s.each([]string{`DELETE FROM handshakes`, `DELETE FROM senders`, `DELETE FROM days`}); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
				h := anyHandshake(t).(Handshake)
				h.Unused = rapid.Bool().Draw(t, "unused")
				h.Probe = rapid.IntRange(0, 5).Draw(t, "probe") == 0
				return h
			}), 1, 20).Draw(t, "batch")
			if err := s.write(events); err != nil {
				t.Fatal(err)
			}
			if n, err := s.number(differ); n != 0 || err != nil {
				t.Fatalf("%d senders differ, %v", n, err)
			}
		}
	})
}

// A ledger of an older version has the counts after its migration.
func TestFailingCountsOfOlderLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	err := writeOld(path, failingIn-1, func(s *store) error {
		other := func(h Handshake) Handshake { h.EHLO = "mx.other.example"; return h }
		return s.write([]event{at(0, success("A")), at(3, failure("B")), at(5, failure("C")), other(at(1, failure("D"))), other(at(2, success("E")))})
	})
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := openStore(path, migrations()) // not Open, which forgets what is old
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	got := failingSenders(t, reader(t, path))
	if len(got) != 1 || got[0].Failed != 2 || !got[0].Since.Equal(noon.Add(3*time.Minute)) || !got[0].Worked.Equal(noon) {
		t.Errorf("failing: %+v", got)
	}
}

// Somebody with many names and fingerprints does not hide another sender.
func TestManyFailingSendersHideNoOther(t *testing.T) {
	events := []event{at(0, success("A")), at(1, failure("B"))}
	for i := range 300 {
		events = append(events, with(at(2, failure(fmt.Sprint("F", i))), func(h *Handshake) {
			h.Network, h.Address = netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("198.51.100.1")
			h.EHLO, h.Fingerprint = fmt.Sprint("name", i%3), fmt.Sprint("t13", i)
		}))
	}
	r := reader(t, written(t, events...))
	found, err := r.Failing(t.Context(), afternoon, 200)
	if err != nil || len(found) != 1+maxOfNetwork || found[0].Session != "B" {
		t.Errorf("%d found, %v, the first %+v", len(found), err, found[0])
	}
}

// A stranger has all networks of a provider, and comes back to fail again and again.
func TestFailingSendersOfOneProviderHideNoOther(t *testing.T) {
	events := []event{at(1, failure("B"))}
	for i := range 300 {
		for n := range 3 {
			network := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/48", i))
			change := func(h *Handshake) { h.Network, h.Address, h.EHLO = network, network.Addr(), fmt.Sprint("name", i) }
			worked := success(fmt.Sprint("W", i, n))
			if n > 0 {
				worked = failure(fmt.Sprint("F", i, n))
			}
			events = append(events, with(at(2, worked), change))
		}
	}
	found, err := reader(t, written(t, events...)).Failing(t.Context(), afternoon, 100)
	if err != nil || len(found) != 100 || found[1].Session != "B" {
		t.Errorf("%d found, %v, the second %+v", len(found), err, found[1])
	}
}

func TestNameOfSender(t *testing.T) {
	named := with(success("B"), func(h *Handshake) { h.Name, h.EHLO = "mail.other.example", "mx.other.example" })
	unnamed := with(named, func(h *Handshake) { h.Session, h.Name = "C", "" })
	r := reader(t, written(t, success("A"), named, unnamed, Name{success("").Network, "mail.sender.example", "mail-1.sender.example"}, success("D")))
	senders, err := r.Senders(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range senders {
		names = append(names, s.EHLO+" "+s.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"mail.sender.example mail-1.sender.example", "mx.other.example mail.other.example"}) {
		t.Errorf("names: %q", names)
	}
	if h, err := r.Handshake(t.Context(), "C"); err != nil || h.Name != "mail.other.example" {
		t.Errorf("name of a handshake: %q, %v", h.Name, err)
	}
	working, err := r.WorkingSince(t.Context(), noon, []string{"other.example"}, []string{named.Fingerprint, "t13"})
	if err != nil || len(working) != 1 || working[0].Organization != "other.example" || !working[0].Worked.Equal(noon) {
		t.Errorf("working: %+v, %v", working, err)
	}
}

func TestTraffic(t *testing.T) {
	delivered := with(success("D"), func(h *Handshake) { h.Delivered = true })
	refused := Refusal{Last: noon, Network: success("").Network, Command: "RCPT", From: "a.example", To: "b.example", Reply: "450 later", Count: 1}
	elsewhere := refused
	elsewhere.Network = netip.MustParsePrefix("198.51.100.0/24")
	for name, test := range map[string]struct {
		events []event
		want   Traffic
	}{
		"none":        {nil, Traffic{}},
		"only failed": {[]event{failure("A")}, Traffic{}},
		"earlier":     {[]event{at(-90, delivered)}, Traffic{}},
		"a session":   {[]event{success("A")}, Traffic{Worked: true}},
		"a message":   {[]event{delivered}, Traffic{Worked: true, Delivered: true}},
		"plaintext":   {[]event{with(success("A"), func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" })}, Traffic{Worked: true, Delivered: true}},
		"refused":     {[]event{refused, elsewhere}, Traffic{Refused: 2}},
		"deferred, then accepted": {[]event{refused, elsewhere, Acceptance{noon.Add(time.Minute), refused.Network, refused.From, refused.To}},
			Traffic{Refused: 1}},
	} {
		if got, err := reader(t, written(t, test.events...)).Traffic(t.Context(), afternoon); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
	}
}
