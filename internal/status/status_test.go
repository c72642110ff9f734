package status

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/alert"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/sessionticket"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is half past nine, UTC, on the day after outlook.com began to close over early tickets.
var now = time.Date(2024, 10, 25, 9, 30, 0, 0, time.UTC)

// A story is a ledger being written.
type story struct {
	*ledger.Ledger
	n int
}

// A client is a sender with one host.
type client struct {
	addr, ehlo, name, fingerprint string
}

const (
	schannel = "t13d1516h2_8daaf6152771_02713d6af862"
	openssl  = "t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4"
)

// outlook is a host of outlook.com in the i-th of its networks.
func outlook(i int) client {
	return client{fmt.Sprintf("40.107.%d.7", i), fmt.Sprintf("NAM%02d-obe.outbound.protection.outlook.com", i),
		fmt.Sprintf("mail-nam%02don2060.outbound.protection.outlook.com", i), schannel}
}

// small is the i-th of organizations with one host each, whose name is in EHLO only.
func small(i int) client {
	return client{fmt.Sprintf("203.0.%d.25", i), fmt.Sprintf("mail.sender%d.example", i), "", openssl}
}

// ago returns a time by its age.
func ago(age time.Duration) time.Time { return now.Add(-age) }

func (s *story) handshake(c client, age time.Duration, change func(*ledger.Handshake)) {
	s.n++
	addr := netip.MustParseAddr(c.addr)
	h := ledger.Handshake{
		Session: fmt.Sprintf("SESSION%03d", s.n), At: ago(age), Address: addr, Network: admission.Network(addr),
		EHLO: c.ehlo, Name: c.name, Fingerprint: c.fingerprint, Outcome: ledger.Full, Delivered: true, Mode: sessionticket.Stock,
	}
	change(&h)
	s.AddHandshake(h)
}

func (s *story) delivers(c client, ages ...time.Duration) {
	for _, age := range ages {
		s.handshake(c, age, func(*ledger.Handshake) {})
	}
}

// fails fails as in a case, "unknown" for none.
func (s *story) fails(c client, as string, ages ...time.Duration) {
	for _, age := range ages {
		s.handshake(c, age, func(h *ledger.Handshake) {
			h.Outcome, h.Delivered = ledger.Failed, false
			h.Stopped, h.Next = "closed silently after the server's flight", "mode stock again: the failure does not point to the mode"
			if as != ledger.Unknown {
				h.Diagnoses = []ledger.Diagnosis{{Case: as, Confidence: 0.99}}
			}
			if as == "early-ticket" {
				h.Next = "mode own-write: the sender closed silently after the ticket"
			}
		})
	}
}

func (s *story) plaintext(c client, ages ...time.Duration) {
	c.fingerprint = ""
	for _, age := range ages {
		s.handshake(c, age, func(h *ledger.Handshake) { h.Outcome = ledger.Plaintext })
	}
}

// alerts opens an alert, since half past eight.
func (s *story) alerts(id int64, kind alert.Kind, subject, text, next string) {
	s.PutAlert(ledger.Alert{ID: id, Kind: string(kind), Subject: subject, Text: text, Next: next, Since: ago(h), Began: ago(h), Seen: ago(m)})
}

// hosts are those of a fleet, as this one heard them that long ago.
func (s *story) hosts(ages map[string]time.Duration) {
	for name, age := range ages {
		host, err := json.Marshal(fleet.Host{Name: name, Self: age == 0, Said: ago(age), Seen: ago(age)})
		if err != nil {
			panic(err) // it has nothing that JSON cannot say
		}
		s.AddCheck(ledger.Check{Kind: ledger.FleetCheck, Name: name, At: ago(age), Summary: host})
	}
}

func (s *story) fallsBack(c client, age time.Duration) {
	s.AddDecisions([]fallback.Decision{{
		At: ago(age), Kind: fallback.FellBack, Network: admission.Network(netip.MustParseAddr(c.addr)), Fingerprint: c.fingerprint,
		From: sessionticket.Stock, To: sessionticket.OwnWrite, Why: "the sender closed silently after the ticket",
	}})
}

const (
	m = time.Minute
	h = time.Hour
)

// stories are ledgers, and golden files in testdata by their names.
var stories = []struct {
	name string
	tell func(*story)
}{
	{"quiet-night", func(*story) {}},
	{"everyone", func(s *story) {
		s.delivers(small(1), 5*m)
		s.delivers(outlook(1), 3*h, 2*h)
	}},
	{"only-a-probe", func(s *story) {
		s.handshake(small(1), h, func(h *ledger.Handshake) { h.Probe = true })
		s.handshake(small(1), h, func(h *ledger.Handshake) { h.Probe, h.Outcome = true, ledger.Failed })
	}},
	{"october-2024", func(s *story) {
		s.delivers(small(1), 5*m)
		for i := range 3 {
			s.delivers(outlook(i), 30*h)
			s.fails(outlook(i), "early-ticket", 18*m, time.Duration(5-i)*m)
		}
		s.fallsBack(outlook(0), 18*m)
	}},
	{"october-2024-fell-back", func(s *story) {
		for i := range 3 {
			s.fails(outlook(i), "early-ticket", 18*m)
			s.fallsBack(outlook(i), 18*m)
			s.delivers(outlook(i), 5*m)
		}
	}},
	{"first-failure-of-a-known-case", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), "early-ticket", 2*m)
	}},
	{"first-failure-of-a-known-sender", func(s *story) {
		s.delivers(small(1), 3*h, 5*m)
		s.delivers(small(2), 3*h)
		s.fails(small(2), ledger.Unknown, 2*m)
	}},
	{"first-failure-of-a-stranger", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), ledger.Unknown, 2*m)
	}},
	{"stranger-retries", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), ledger.Unknown, 40*m, 10*m)
	}},
	{"failed-once-then-delivered", func(s *story) {
		s.fails(small(1), ledger.Unknown, 20*m)
		s.delivers(small(1), 5*m)
	}},
	{"another-host-delivered", func(s *story) { // of a pool, with the same message
		s.delivers(outlook(1), 3*h)
		s.fails(outlook(1), ledger.Unknown, 20*m)
		s.delivers(outlook(2), 10*m)
	}},
	{"one-network-of-many", func(s *story) {
		s.fails(outlook(1), ledger.Unknown, 3*h, 2*h, h)
		s.delivers(outlook(2), 10*m)
	}},
	{"scanners", func(s *story) {
		s.delivers(small(1), 5*m)
		census := client{"198.51.100.9", "scan-09.census.example", "scan-09.census.example", "t10i0310h0_x"}
		s.fails(census, "tls10-only", 5*m, 5*m-20*time.Second)
		census.fingerprint = "t13i0310h0_y"
		s.fails(census, ledger.Scanner, 5*m)
		nameless := client{"198.51.100.200", "", "", openssl}
		s.fails(nameless, "early-ticket", 2*h, h)
		s.fails(small(9), ledger.Unknown, 23*h, 1*m) // daily
	}},
	{"plaintext-after-failures", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), "tls10-only", 3*h)
		s.plaintext(small(2), 3*h-m)
		s.fails(small(2), "tls10-only", 2*h)
		s.plaintext(small(2), 2*h-m)
	}},
	{"only-plaintext", func(s *story) { s.plaintext(small(1), h) }},
	{"another-program-of-the-host", func(s *story) {
		program := small(2)
		program.fingerprint = "t13d3112h1_nodemailer"
		s.delivers(program, 2*h)
		s.fails(small(2), "certificate-refused", 3*h, 2*h, h)
		s.delivers(program, 5*m)
	}},
	{"ten-organizations", func(s *story) {
		s.delivers(small(99), 5*m)
		s.delivers(small(7), 30*h)
		for i := range 10 {
			s.fails(small(i), "no-shared-suite", time.Duration(30-i)*h/2, time.Duration(10-i)*h/2)
		}
		s.fails(outlook(1), "early-ticket", 2*h, h)
		s.fails(outlook(2), "early-ticket", 2*h, h)
	}},
	{"two-organizations-since-days", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), "certificate-refused", 60*h, 50*h, 40*h, 30*h, 20*h)
		s.fails(small(3), "certificate-refused", 70*h, 60*h, 50*h, 40*h, 30*h, 20*h)
	}},
	{"unknown-organization", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(client{"192.0.2.7", "WIN-4F2K\x1b[31m", "", openssl}, "certificate-refused", 3*h, 2*h)
	}},
	{"nothing-but-failures", func(s *story) { s.fails(small(1), "certificate-refused", 3*h, 2*h) }},
	{"nothing-accepted", func(s *story) {
		s.handshake(small(1), h, func(h *ledger.Handshake) { h.Delivered = false })
		s.AddRefusal(ledger.Refusal{Last: ago(h), Network: netip.MustParsePrefix("203.0.1.0/24"), Command: "RCPT", Reply: "451 4.3.0 later", Remote: true, Count: 1})
	}},
	{"next-hop-down", func(s *story) {
		s.delivers(small(1), 2*h)
		s.alerts(1, alert.NextHopDown, "smtp://127.0.0.1:2526", "The next hop does not take mail.", "Start the server.")
	}},
	{"next-hop-down-and-more", func(s *story) {
		s.delivers(small(1), 2*h)
		s.delivers(small(2), 30*h)
		s.fails(small(2), "certificate-refused", 3*h, 2*h)
		s.fails(small(3), "tls10-only", 3*h)
		s.plaintext(small(3), 3*h-m)
		s.alerts(1, alert.LedgerDrops, "ledger.db", "The ledger did not store 3 events.", "See the log.")
		s.alerts(2, alert.SenderStopped, "sender2.example", "sender2.example used to deliver.", "Renew the certificate.")
		s.alerts(3, alert.NextHopDown, "smtp://127.0.0.1:2526", "The next hop does not take mail.", "Start the server.")
	}},
	{"alert-without-mail", func(s *story) {
		s.alerts(1, alert.CertificateExpires, "mx.example.org (ECDSA)", "The certificate expires.", "Renew it.")
	}},
	{"fleet", func(s *story) {
		s.delivers(small(1), 2*h)
		s.hosts(map[string]time.Duration{"mx1": 0, "mx2": 10 * time.Second})
	}},
	{"host-missing", func(s *story) { // one for a while, of which there is an alert, and one for a moment
		s.delivers(small(1), 2*h)
		s.hosts(map[string]time.Duration{"mx1": 0, "mx2": 10 * time.Second, "mx3": h, "mx4": 2 * m})
		s.alerts(7, alert.HostMissing, "mx3", "mx3 says nothing since 08:30.", "Look whether it runs.")
	}},
	{"leaves-after-the-handshake", func(s *story) { // a sender that does not trust the certificate, as only the alert knows
		s.delivers(small(1), 2*h)
		s.delivers(small(2), 30*h)
		s.handshake(small(2), h, func(h *ledger.Handshake) { h.Unused, h.Delivered = true, false })
		s.alerts(1, alert.SenderStopped, "sender2.example", "sender2.example used to deliver.", "Check the certificate.")
	}},
	{"alerts-that-are-over", func(s *story) {
		s.delivers(small(1), 2*h)
		for id, change := range []func(*ledger.Alert){func(a *ledger.Alert) { a.Ended = ago(m) }, func(a *ledger.Alert) { a.Gone = ago(m) }} {
			a := ledger.Alert{ID: int64(id + 1), Kind: string(alert.NextHopDown), Subject: "smtp://127.0.0.1:2526", Since: ago(h)}
			change(&a)
			s.PutAlert(a)
		}
	}},
	{"organization-that-retries-elsewhere", func(s *story) { // each of its networks failed once
		s.delivers(small(1), 2*h)
		for i := range 3 {
			s.delivers(outlook(i), 30*h)
			s.fails(outlook(i), ledger.Unknown, time.Duration(30-10*i)*m)
		}
	}},
	{"certificate-expired", func(s *story) {
		s.delivers(small(1), 2*h)
		for _, age := range []time.Duration{3 * h, 2 * h} {
			s.handshake(small(2), age, func(h *ledger.Handshake) {
				h.Outcome, h.Delivered = ledger.Failed, false
				h.Diagnoses = []ledger.Diagnosis{{Case: "certificate-refused", Confidence: 0.99, Evidence: []string{"the client ended the handshake with the alert certificate_expired"}}}
			})
		}
	}},
	{"everything-at-once", func(s *story) {
		s.delivers(small(1), 5*m)
		s.fails(small(2), "certificate-refused", 3*h, 2*h)
		s.fails(small(3), "tls10-only", 3*h)
		s.plaintext(small(3), 3*h-m)
		for _, i := range []int{4, 5} {
			s.delivers(small(i), 3*h)
			s.fails(small(i), ledger.Unknown, 2*m)
		}
	}},
}

func TestStatusOfStories(t *testing.T) {
	for _, one := range stories {
		t.Run(one.name, func(t *testing.T) {
			book := written(t, one.tell)
			s, err := Read(t.Context(), book, ledger.Span{From: ago(24 * h), To: now}, "in the last 24 hours", now)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", one.name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(text(s)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(s); got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A link to an old span still says what is true today.
// A stranger makes up senders in all networks of a provider, and lets them fail more often than an
// honest one does.
func TestCardsOfOneProviderHideNoOther(t *testing.T) {
	honest := client{"198.51.100.7", "mail.honest.example", "", openssl}
	book := written(t, func(s *story) {
		s.delivers(honest, 3*h)
		s.fails(honest, "early-ticket", h, 30*m)
		for i := range 20 {
			s.delivers(small(i), 5*h)
			s.fails(small(i), "early-ticket", 2*h, h, 40*m, 30*m, 20*m, 10*m)
		}
	})
	status, err := Read(t.Context(), book, ledger.Span{From: ago(24 * h), To: now}, "in the last 24 hours", now)
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, c := range status.Cards {
		titles = append(titles, c.Title)
	}
	if len(titles) != 5 || !slices.Contains(titles, "honest.example") || status.More != 16 {
		t.Errorf("cards of %q, and %d more", titles, status.More)
	}
}

func TestStatusOfAPastSpan(t *testing.T) {
	day := ledger.Span{From: ago(72 * h), To: ago(48 * h)}
	for name, test := range map[string]struct {
		tell func(*story)
		want string
	}{
		"delivered later": {func(s *story) {
			s.fails(small(1), "certificate-refused", 70*h, 60*h)
			s.delivers(small(1), h)
		}, "Every sender on that day has delivered."},
		"still fails": {func(s *story) {
			s.delivers(small(2), 60*h)
			s.fails(small(1), "certificate-refused", 70*h, 60*h, h)
		}, "Every sender on that day has delivered, except sender1.example, since 22 October, 11:30 UTC."},
		"began later": {func(s *story) {
			s.delivers(small(2), 60*h)
			s.fails(small(1), "certificate-refused", 10*h, h)
		}, "Every sender on that day has delivered."},
	} {
		tell := func(s *story) {
			test.tell(s)
			s.hosts(map[string]time.Duration{"mx1": 0, "mx2": h}) // that one is missing today
		}
		s, err := Read(t.Context(), written(t, tell), day, "on that day", now)
		if err != nil || s.Sentence != test.want {
			t.Errorf("%s: %q, %v, want %q", name, s.Sentence, err, test.want)
		}
	}
}

func written(t *testing.T, tell func(*story)) *ledger.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &story{Ledger: ledger.Open(path, ledger.Options{})}
	tell(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	book, err := ledger.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	return book
}

// text is a status as golden files have it.
func text(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.State, s.Sentence)
	if s.Doubtful > 0 || s.Refused > 0 || s.More > 0 {
		fmt.Fprintf(&b, "doubtful %d, refused %d, more %d\n", s.Doubtful, s.Refused, s.More)
	}
	if len(s.Fleet) > 0 {
		fmt.Fprintf(&b, "fleet: %s\n", fleet.Summary(s.Fleet))
	}
	for _, c := range s.Cards {
		if c.Effect == 0 {
			fmt.Fprintf(&b, "\n%s (%s)\n", c.Title, c.State())
			if c.Host != nil {
				fmt.Fprintf(&b, "  why %s\n", c.Why())
			}
			if c.Alert != nil {
				fmt.Fprintf(&b, "  alert %d since %s\n", c.Alert.ID, stamp(c.First))
			}
			fmt.Fprintf(&b, "  next %s\n", c.Next())
			continue
		}
		what := "unknown"
		if c.Case != nil {
			what = c.Case.ID
		}
		fmt.Fprintf(&b, "\n%s %s: %s\n", c.Title, c.Effect, what)
		fmt.Fprintf(&b, "  by %v, %q, %v, %d more networks\n", c.Organization.By, c.Names, c.Networks, c.MoreNetworks)
		fmt.Fprintf(&b, "  %d failed, %s to %s, last %s\n", c.Failed, stamp(c.First), stamp(c.Last), c.Session)
		fmt.Fprintf(&b, "  worked %s, plaintext %s\n", stamp(c.Worked), stamp(c.Plaintext))
		if len(c.Evidence) > 0 {
			fmt.Fprintf(&b, "  evidence %q\n", c.Evidence)
		}
		if c.Alert != nil {
			fmt.Fprintf(&b, "  alert %d\n", c.Alert.ID)
		}
		for _, step := range c.Did() {
			fmt.Fprintf(&b, "  did  %s %s\n", stamp(step.At), step.Text)
		}
		fmt.Fprintf(&b, "  next %s\n", c.Next())
	}
	return b.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2 15:04")
}
