package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtp"
	"postern/internal/smtpd"
)

// refusedBy is a command of a sender that a server refused.
func refusedBy(addr string, reply smtp.Reply) smtpd.RefusedCommand {
	return smtpd.RefusedCommand{
		Session: "S1", At: time.Now(), Sender: netip.AddrPortFrom(netip.MustParseAddr(addr), 25), EHLO: "mail.sender.example",
		Command: "RCPT", From: "Ann@sender.example", Recipients: []string{"bob@example.org"}, Reply: reply,
	}
}

// A book is a refusalBook with its ledger and log.
type book struct {
	*refusalBook
	path string
	log  strings.Builder
}

func newBook(t *testing.T, addresses smtp.AddressDetail) *book {
	b := &book{path: filepath.Join(t.TempDir(), "ledger.db")}
	b.refusalBook = newRefusalBook(ledger.Open(b.path, ledger.Options{}), slog.New(slog.NewJSONHandler(&b.log, nil)), addresses)
	return b
}

// stored closes the ledger and returns its refusals.
func (b *book) stored(t *testing.T) []ledger.Refusal {
	t.Helper()
	if err := b.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, b.path).Refusals(t.Context(), ledger.RefusalFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// lines returns the lines of the log with that message.
func (b *book) lines(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(b.log.String()) {
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			t.Fatal(err)
		}
		if attrs["msg"] == message {
			found = append(found, attrs)
		}
	}
	return found
}

func TestRefusalLogNamesItsOrigin(t *testing.T) {
	b := newBook(t, smtp.DomainOnly)
	b.refused(refusedBy("192.0.2.7", smtp.Reply{Code: 550, Lines: []string{"5.1.1 <bob@example.org>: unknown"}, Remote: true}))
	b.refused(refusedBy("192.0.2.7", smtp.NewReply(451, "4.4.1", "next hop does not answer (id S1)")))
	probe := refusedBy("192.0.2.7", smtp.NewReply(550, "5.7.1", "a probe delivers no mail"))
	probe.Probe = true
	b.refused(probe)
	lines := b.lines(t, "command refused")
	if len(lines) != 3 || lines[0]["by"] != "next hop" || lines[1]["by"] != "postern" ||
		lines[1]["probe"] != nil || lines[2]["probe"] != true || lines[0]["reply"] != "550 5.1.1 <bob@example.org>: unknown" || lines[1]["reply"] != "451 4.4.1 next hop does not answer (id S1)" {
		t.Errorf("logged %v", lines)
	}
	stored := b.stored(t)
	if len(stored) != 2 {
		t.Fatalf("stored %+v, want two: a probe is no sender", stored)
	}
	for _, r := range stored {
		want := "550 5.1.1 <…@example.org>: unknown"
		if !r.Remote {
			want = "451 4.4.1 next hop does not answer"
		}
		if r.Reply != want || r.From != "sender.example" || r.To != "example.org" {
			t.Errorf("stored %+v, want the reply %q and domains only", r, want)
		}
	}
}

func TestNoAddressIsKeptIfNoneShallBe(t *testing.T) {
	b := newBook(t, smtp.NoAddress)
	reply := smtp.Reply{Code: 450, Lines: []string{"4.2.0 <bob@example.org>: greylisted"}, Remote: true}
	b.refused(refusedBy("192.0.2.7", reply))
	long := refusedBy("198.51.100.7", smtp.Reply{Code: 550, Lines: []string{strings.Repeat("x", maxReplyText-10) + " bob.other@example.org"}, Remote: true})
	long.EHLO = "bob@example.org" // as some devices do
	b.refused(long)
	b.accepted(smtpd.AcceptedMessage{At: time.Now(), Sender: netip.MustParseAddrPort("192.0.2.7:25"), From: "other@sender.example", Recipients: []string{"c@example.org"}})
	r := b.stored(t)
	if len(r) != 2 || r[1].From != "" || r[1].To != "" || r[1].Reply != "450 4.2.0 <…>: greylisted" || !r[1].Accepted.IsZero() {
		t.Errorf("stored %+v", r)
	}
	if strings.Contains(fmt.Sprintf("%+v", r), "bob") {
		t.Errorf("an address is in %+v", r)
	}
}

func TestAGreylistedSenderIsSeenToBeAccepted(t *testing.T) {
	b := newBook(t, smtp.DomainOnly)
	b.refused(refusedBy("192.0.2.7", smtp.Reply{Code: 450, Lines: []string{"4.2.0 greylisted"}, Remote: true}))
	b.accepted(smtpd.AcceptedMessage{
		At: time.Now(), Sender: netip.MustParseAddrPort("192.0.2.99:25"), From: "ann@sender.example", Recipients: []string{"x@elsewhere.example", "bob@example.org"},
	})
	if r := b.stored(t); len(r) != 1 || r[0].Accepted.IsZero() {
		t.Errorf("stored %+v", r)
	}
}

// A message can have thousands of recipients, and a reply a quarter of a megabyte.
func TestARefusalIsBounded(t *testing.T) {
	b := newBook(t, smtp.FullAddress)
	c := refusedBy("192.0.2.7", smtp.Reply{Code: 550, Lines: slices.Repeat([]string{strings.Repeat("spam ", 400)}, 100), Remote: true})
	c.Recipients = nil
	for i := range 1000 {
		c.Recipients = append(c.Recipients, fmt.Sprintf("bob%d@example.org", i))
	}
	b.refused(c)
	line := b.lines(t, "command refused")[0]
	if named := line[logkey.Recipients].([]any); len(named) != maxRecipients || len(line["reply"].(string)) > maxReplyText+len("...") {
		t.Errorf("logged %v", line)
	}
	if r := b.stored(t)[0]; strings.Count(r.To, "@") != maxRecipients || len(r.Reply) > maxReplyText+len("...") {
		t.Errorf("stored %+v", r)
	}
}

// A stranger who is deferred again and again takes nothing from others: theirs are seen to be
// accepted.
func TestAStrangerDisplacesNoDeferrals(t *testing.T) {
	b := newBook(t, smtp.DomainOnly)
	b.refused(refusedBy("192.0.2.7", smtp.Reply{Code: 450, Lines: []string{"4.2.0 greylisted"}, Remote: true}))
	for i := range 2 * maxDeferrals {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), 0}), 24)
		b.note(deferral{network, fmt.Sprint(i, ".example"), "example.org"}, time.Now())
	}
	b.accepted(smtpd.AcceptedMessage{At: time.Now(), Sender: netip.MustParseAddrPort("192.0.2.7:25"), From: "ann@sender.example", Recipients: []string{"bob@example.org"}})
	if r := b.stored(t); len(r) != 1 || r[0].Accepted.IsZero() {
		t.Errorf("stored %+v", r)
	}
}

// A message that comes a week after a deferral is another one.
func TestADeferralIsForgottenInTime(t *testing.T) {
	b := newBook(t, smtp.DomainOnly)
	b.refused(refusedBy("192.0.2.7", smtp.Reply{Code: 450, Lines: []string{"4.2.0 greylisted"}, Remote: true}))
	for range 2 {
		b.accepted(smtpd.AcceptedMessage{
			At: time.Now().Add(6 * 24 * time.Hour), Sender: netip.MustParseAddrPort("192.0.2.7:25"), From: "ann@sender.example", Recipients: []string{"bob@example.org"},
		})
	}
	if r := b.stored(t); len(r) != 1 || !r[0].Accepted.IsZero() {
		t.Errorf("stored %+v", r)
	}
}

// A flood has a bounded number of lines, and every command is counted.
func TestAFloodIsSummedUp(t *testing.T) {
	b := newBook(t, smtp.DomainOnly)
	synctest.Test(t, func(t *testing.T) {
		unknown := smtp.NewReply(550, "5.1.1", "no such recipient")
		for range 1000 {
			b.refused(refusedBy("192.0.2.7", unknown))
		}
		b.refused(refusedBy("198.51.100.7", unknown)) // it has its own rate
		for i := range 2000 {
			b.refused(refusedBy(fmt.Sprintf("10.%d.%d.1", i/256, i%256), smtp.NewReply(451, "4.4.1", "next hop does not answer")))
		}
		b.tally.Report()
	})
	single, sums := b.lines(t, "command refused"), b.lines(t, "more commands refused")
	if len(single) != 200 || len(sums) != 21 {
		t.Errorf("%d lines for single commands, %d for sums; want 200 and 21", len(single), len(sums))
	}
	total := len(single)
	for _, sum := range sums {
		total += int(sum["refused"].(float64) + sum["deferred"].(float64))
	}
	if total != 3001 {
		t.Errorf("the log accounts for %d commands, want 3001", total)
	}
	if first := sums[0]; first["network"] != "192.0.2.0/24" || first["refused"] != 980.0 || sums[20]["network"] != "others" {
		t.Errorf("the sums are %v", sums)
	}
	var kept int64
	for _, r := range b.stored(t) {
		kept += r.Count
	}
	if kept != 3001 {
		t.Errorf("the ledger has %d of 3001 commands", kept)
	}
}
