package alert

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
)

// A post is the rules about senders with a clock.
type post struct {
	*testing.T
	rules *senderRules
	now   time.Time
	id    int64
}

func newPost(t *testing.T) *post {
	return &post{t, &senderRules{rhythms: newRhythms(), unknowns: newUnknowns(), reads: maxReads}, time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), 0}
}

// try notes a try of a sender in a network.
func (p *post) try(network, ehlo string, outcome ledger.Outcome, change ...func(*ledger.Try)) {
	p.id++
	t := ledger.Try{
		ID: p.id, Session: fmt.Sprintf("S%d", p.id), At: p.now, Network: netip.MustParsePrefix(network), EHLO: ehlo, JA4: "t13d", Outcome: outcome,
	}
	if outcome == ledger.Failed {
		t.Case, t.Stopped = "early-ticket", "closed silently by the client"
	}
	for _, f := range change {
		f(&t)
	}
	p.rules.note(t)
}

func unknownCase(t *ledger.Try) { t.Case = ledger.Unknown }

// wrong returns the kinds and subjects of what is wrong.
func (p *post) wrong() (all []string) {
	for _, c := range p.rules.conditions(p.now, nil) {
		all = append(all, string(c.Kind)+" "+c.Subject)
	}
	return all
}

func (p *post) expect(want ...string) {
	p.Helper()
	if got := p.wrong(); strings.Join(got, "; ") != strings.Join(want, "; ") {
		p.Errorf("at %s: %q, want %q", p.now.Format("2 15:04"), got, want)
	}
}

const (
	here  = "192.0.2.0/24"
	there = "198.51.100.0/24"
)

func (p *post) deliver(days int) {
	for range days {
		p.try(here, "mail.sender.example", ledger.Full)
		p.now = p.now.Add(24 * time.Hour)
	}
}

func TestSenderThatUsedToDeliverAndFails(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for range 3 {
		p.try(here, "mail.sender.example", ledger.Failed)
		p.expect()
		p.now = p.now.Add(10 * time.Minute)
	}
	p.try(here, "mail.sender.example", ledger.Failed)
	p.expect("sender-stopped sender.example")
	text := p.rules.conditions(p.now, nil)[0].Text
	for _, want := range []string{"sender.example used to deliver and has not since 2026-11-29 09:00 UTC: 4 tries failed", "looks like early-ticket"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	p.try(here, "mail.sender.example", ledger.Resumed)
	p.expect()
}

// A sender that fails here and delivers at another host of the fleet has stopped nothing. What it
// delivered there before it failed here can be known late, and does not end what it fails since.
func TestSenderThatDeliversAtAnotherHost(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	earlier := p.now
	elsewhere := func(at time.Time) {
		p.try(here, "mail.sender.example", ledger.Resumed, func(t *ledger.Try) { t.Elsewhere, t.At = true, at })
	}
	for range 4 {
		p.now = p.now.Add(15 * time.Minute)
		p.try(here, "mail.sender.example", ledger.Failed)
	}
	p.expect("sender-stopped sender.example")
	elsewhere(earlier)
	p.expect("sender-stopped sender.example")
	elsewhere(p.now.Add(time.Minute))
	p.expect()
}

// A weekly sender is no alert on Tuesday: it does not try.
func TestSenderThatDoesNotTryIsNoAlert(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	p.try(here, "mail.sender.example", ledger.Failed)
	p.now = p.now.Add(6 * 24 * time.Hour)
	p.expect()
}

func TestSenderThatNeverDeliveredIsNoAlert(t *testing.T) {
	p := newPost(t)
	for range 50 {
		p.try(here, "mail.sender.example", ledger.Failed)
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect()
}

// Twenty connections at once fail for one reason, and prove no more than one.
func TestManyTriesAtOnceAreOne(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for range 20 {
		p.try(here, "mail.sender.example", ledger.Failed)
	}
	p.now = p.now.Add(2 * time.Hour)
	p.expect()
}

// Every third try of a sender fails: three in a row are nothing new.
func TestUnreliableSenderNeedsMoreFailures(t *testing.T) {
	p := newPost(t)
	for i := range 60 {
		p.try(here, "mail.sender.example", map[bool]ledger.Outcome{true: ledger.Failed, false: ledger.Full}[i%3 == 0])
		p.now = p.now.Add(time.Hour)
	}
	for range 4 {
		p.try(here, "mail.sender.example", ledger.Failed)
		p.now = p.now.Add(time.Hour)
	}
	p.expect()
	for range 6 {
		p.try(here, "mail.sender.example", ledger.Failed)
		p.now = p.now.Add(time.Hour)
	}
	p.expect("sender-stopped sender.example")
}

// A stranger in another network who uses a sender's name cannot hide that it fails.
func TestStrangerWithTheNameHidesNothing(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for range 6 {
		p.try(here, "mail.sender.example", ledger.Failed)
		p.try(there, "mail.sender.example", ledger.Full)
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect("sender-stopped sender.example")
	if text := p.rules.conditions(p.now, nil)[0].Text; !strings.Contains(text, " failed, from "+here+".") {
		t.Errorf("the text does not name the network:\n%s", text)
	}
}

// Exchange Online retries from other networks: no network fails twice, and the organisation does.
func TestOrganisationThatRetriesFromOtherNetworks(t *testing.T) {
	p := newPost(t)
	confirmed := func(t *ledger.Try) { t.Name = "out.large.example" }
	network := func(i int) string { return fmt.Sprintf("10.0.%d.0/24", i) }
	for i := range 40 {
		p.try(network(i), "out.large.example", ledger.Full, confirmed)
		p.now = p.now.Add(time.Hour)
	}
	for i := range 8 {
		p.try(network(i), "out.large.example", ledger.Failed, confirmed)
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect("sender-stopped large.example")
}

// Senders that verify the certificate after the handshake complete it, and leave.
func TestSenderThatLeavesAfterTheHandshakeFails(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for range 6 {
		p.try(here, "mail.sender.example", ledger.Full, func(t *ledger.Try) { t.Unused = true })
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect("sender-stopped sender.example")
	if c := p.rules.conditions(p.now, nil)[0]; !strings.Contains(c.Next, "Check the certificate") {
		t.Errorf("next step: %s", c.Next)
	}
}

func TestSenderThatFallsBackToPlaintext(t *testing.T) {
	returned := func(t *ledger.Try) { t.Returned = true }
	p := newPost(t)
	p.try(there, "mail.bot.example", ledger.Failed)
	p.try(there, "mail.bot.example", ledger.Plaintext, returned) // it never used TLS
	p.deliver(5)
	p.try(here, "mail.sender.example", ledger.Failed)
	p.try(here, "mail.sender.example", ledger.Plaintext, returned)
	p.expect("sender-in-plaintext sender.example")
	p.now = p.now.Add(24 * time.Hour)
	p.try(here, "mail.sender.example", ledger.Full)
	p.expect()
}

func TestUnknownFailureFromThreeNetworks(t *testing.T) {
	p := newPost(t)
	for round := range 2 {
		for i := range 3 {
			p.expect()
			p.try(fmt.Sprintf("10.%d.0.0/24", i), fmt.Sprintf("mail.sender%d.example", i), ledger.Failed, unknownCase)
		}
		if round == 0 { // a scanner does not retry
			p.expect()
		}
		p.now = p.now.Add(10 * time.Minute)
	}
	p.expect("unknown-failure t13d, closed silently by the client")
	p.try("10.1.0.0/24", "mail.sender1.example", ledger.Full)
	p.expect()
}

// What is known of senders survives a restart.
func TestRhythmsAreRestored(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	p.try(here, "mail.sender.example", ledger.Failed)
	text, err := json.Marshal(storedSenders{p.id, p.rules.rhythms.stored(), p.rules.unknowns.stored()})
	if err != nil {
		t.Fatal(err)
	}
	restored := newPost(t)
	restored.now, restored.id = p.now, p.id
	if err := restored.rules.restore(text); err != nil || restored.rules.last != p.id {
		t.Fatalf("last try %d, want %d: %v", restored.rules.last, p.id, err)
	}
	for range 4 {
		restored.now = restored.now.Add(10 * time.Minute)
		restored.try(here, "mail.sender.example", ledger.Failed)
	}
	restored.expect("sender-stopped sender.example")
}

// Strangers can make up any number of senders. Those that matter stay.
func TestKnownSendersAreBounded(t *testing.T) {
	p := newPost(t)
	p.deliver(5)
	for i := range maxRhythms + 5000 {
		p.try(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32).String(), "", ledger.Full)
	}
	if n := len(p.rules.rhythms.all); n > maxRhythms {
		t.Errorf("%d senders are known", n)
	}
	if p.rules.rhythms.all[name{"sender.example", netip.MustParsePrefix(here)}] == nil {
		t.Error("the sender that delivered five times is forgotten")
	}
	for i := range maxUnknowns + 10 {
		p.try(here, "", ledger.Failed, unknownCase, func(t *ledger.Try) { t.JA4 = fmt.Sprint(i) })
	}
	if n := len(p.rules.unknowns.all); n > maxUnknowns {
		t.Errorf("%d unknown failures are known", n)
	}
}

func TestVerifiedReportThatTurnedBad(t *testing.T) {
	day := func(n int, good, bad int64) ledger.Report {
		return ledger.Report{ID: int64(n), Submitter: "large.example", Start: time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC), Successful: good, Failed: bad, Domains: []string{"example.org"}}
	}
	for _, test := range []struct {
		what    string
		reports []ledger.Report
		bad     bool
	}{
		{"none", nil, false},
		{"always good", []ledger.Report{day(1, 10, 0), day(2, 10, 0)}, false},
		{"bad from the first one on", []ledger.Report{day(1, 0, 9), day(2, 0, 9)}, false},
		{"one failure", []ledger.Report{day(1, 10, 0), day(2, 10, 1)}, false},
		{"few of many", []ledger.Report{day(1, 1000, 0), day(2, 1000, 20)}, false},
		{"all fail now", []ledger.Report{day(1, 10, 0), day(2, 0, 9)}, true},
		{"still bad", []ledger.Report{day(1, 10, 0), day(2, 0, 9), day(3, 0, 9)}, true},
		{"good again", []ledger.Report{day(1, 10, 0), day(2, 0, 9), day(3, 10, 0)}, false},
		{"bad for one of two domains", []ledger.Report{day(1, 10, 0), day(2, 10, 0), day(2, 0, 9)}, true},
	} {
		if got := turnedBad(test.reports); len(got) > 0 != test.bad {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
	got := turnedBad([]ledger.Report{day(1, 10, 0), day(2, 1, 9)})
	if want := "The verified TLS report of large.example for 2026-11-02 says that 9 of 10 sessions failed, about example.org; the last good one is for 2026-11-01."; got[0].Text != want {
		t.Errorf("got  %s\nwant %s", got[0].Text, want)
	}
}
