package ledger

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

func refusal(at time.Time, network, reply string) Refusal {
	return Refusal{
		Last: at, Network: netip.MustParsePrefix(network), EHLO: "mail.sender.example", Command: "RCPT",
		From: "sender.example", To: "example.org", Reply: reply, Count: 1, Session: "S",
	}
}

const (
	greylisted = "450 4.2.0 greylisted"
	noMailbox  = "550 5.1.1 no such user"
)

// read returns the refusals that match f as one text.
func readRefusals(t *testing.T, path string, f RefusalFilter) (text string) {
	t.Helper()
	all, err := reader(t, path).Refusals(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		text += fmt.Sprintf("%v %d× %s", r.Network, r.Count, r.Reply)
		if !r.Accepted.IsZero() {
			text += " accepted " + r.Accepted.Sub(r.Last).String()
		}
		text += "\n"
	}
	return text
}

func TestEqualRefusalsOfADayAreCountedTogether(t *testing.T) {
	t.Parallel()
	remote := refusal(noon, "192.0.2.0/24", noMailbox)
	remote.Remote = true
	path := written(t,
		refusal(noon, "192.0.2.0/24", noMailbox), refusal(noon.Add(time.Hour), "192.0.2.0/24", noMailbox),
		refusal(noon.Add(day), "192.0.2.0/24", noMailbox), remote,
		refusal(noon.Add(2*day), "2001:db8::/48", noMailbox),
	)
	for _, tt := range []struct {
		filter RefusalFilter
		want   string
	}{
		{RefusalFilter{}, "2001:db8::/48 1× 550 5.1.1 no such user\n192.0.2.0/24 1× 550 5.1.1 no such user\n" +
			"192.0.2.0/24 2× 550 5.1.1 no such user\n192.0.2.0/24 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Sender: "2001:db8::7"}, "2001:db8::/48 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Sender: "SENDER", Since: noon.Add(day), Limit: 1}, "2001:db8::/48 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Recipient: "Example.ORG", Since: noon.Add(36 * time.Hour)}, "2001:db8::/48 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Since: noon, Until: noon.Add(30 * time.Minute)}, "192.0.2.0/24 2× 550 5.1.1 no such user\n192.0.2.0/24 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Until: noon}, ""},
		{RefusalFilter{Recipient: "e_ample"}, ""},
		{RefusalFilter{Sender: "ann@sender.example", Recipient: "bob@EXAMPLE.org", Since: noon.Add(36 * time.Hour)}, "2001:db8::/48 1× 550 5.1.1 no such user\n"},
		{RefusalFilter{Sender: "ann@der.example"}, ""},
		{RefusalFilter{Recipient: "bob@ample.org"}, ""},
	} {
		if got := readRefusals(t, path, tt.filter); got != tt.want {
			t.Errorf("%+v:\n%swant\n%s", tt.filter, got, tt.want)
		}
	}
}

func TestADeferredSenderIsAcceptedLater(t *testing.T) {
	t.Parallel()
	accepted := Acceptance{At: noon.Add(10 * time.Minute), Network: netip.MustParsePrefix("192.0.2.0/24"), From: "sender.example", To: "example.org"}
	for what, tt := range map[string]struct {
		change func(*Acceptance)
		want   string
	}{
		"accepted":                  {func(*Acceptance) {}, " accepted 10m0s"},
		"another network":           {func(a *Acceptance) { a.Network = netip.MustParsePrefix("192.0.3.0/24") }, ""},
		"another envelope sender":   {func(a *Acceptance) { a.From = "other.example" }, ""},
		"another recipient":         {func(a *Acceptance) { a.To = "other.example" }, ""},
		"before it was deferred":    {func(a *Acceptance) { a.At = noon.Add(-time.Minute) }, ""},
		"long after it gave up":     {func(a *Acceptance) { a.At = noon.Add(9 * day) }, ""},
		"the next day, after a day": {func(a *Acceptance) { a.At = noon.Add(day) }, " accepted 24h0m0s"},
	} {
		a := accepted
		tt.change(&a)
		path := written(t, refusal(noon, "192.0.2.0/24", greylisted), refusal(noon, "192.0.2.0/24", noMailbox), a)
		want := "192.0.2.0/24 1× " + noMailbox + "\n192.0.2.0/24 1× " + greylisted + tt.want + "\n"
		if got := readRefusals(t, path, RefusalFilter{}); got != want {
			t.Errorf("%s:\n%swant\n%s", what, got, want)
		}
	}
	again := refusal(noon.Add(time.Hour), "192.0.2.0/24", greylisted)
	path := written(t, refusal(noon, "192.0.2.0/24", greylisted), accepted, again)
	if got, want := readRefusals(t, path, RefusalFilter{}), "192.0.2.0/24 2× "+greylisted+"\n"; got != want {
		t.Errorf("deferred again: %s, want %s", got, want)
	}
}

func TestRefusalsAreForgotten(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day, maxSize: 500 << 20})
	k.note(1, noon)
	if err := k.write([]event{refusal(noon, "192.0.2.0/24", noMailbox)}); err != nil {
		t.Fatal(err)
	}
	k.rounds(1, noon.Add(89*day))
	k.expectRefusals("at 89 days", 1)
	k.rounds(10, noon.Add(91*day))
	k.expectRefusals("at 91 days", 0)
}

func (k *kept) expectRefusals(what string, want int64) {
	k.t.Helper()
	if got, err := k.number(`SELECT count(*) FROM refusals`); err != nil || got != want {
		k.t.Errorf("%s: %d refusals, %v; want %d", what, got, err, want)
	}
}

// A flood of one network takes nothing from the others.
func TestRefusalsStayWithinTheirShare(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day, maxSize: minMaxSize})
	limit := int64(minMaxSize / 8 / 1024)
	events := []event{refusal(noon.Add(-time.Hour), "198.51.100.0/24", noMailbox)}
	for i := range limit + 100 {
		r := refusal(noon, "192.0.2.0/24", noMailbox)
		r.EHLO = fmt.Sprint(i)
		events = append(events, r)
	}
	if err := k.write(events); err != nil {
		t.Fatal(err)
	}
	k.rounds(1, noon)
	k.expectRefusals("after a flood", limit*19/20)
	if n, err := k.number(`SELECT count(*) FROM refusals WHERE network = ?`, prefixBytes(netip.MustParsePrefix("198.51.100.0/24"))); err != nil || n != 1 {
		t.Errorf("%d refusals of the other network, %v; want 1", n, err)
	}
}

func TestRefusalsOfStrangersAreTruncated(t *testing.T) {
	t.Parallel()
	r := refusal(noon, "192.0.2.0/24", noMailbox)
	long := string(make([]byte, 10<<10))
	r.EHLO, r.From, r.To, r.Reply, r.Session = long, long, long, long, long
	all, err := reader(t, written(t, r)).Refusals(t.Context(), RefusalFilter{})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if got := all[0]; len(got.EHLO)+len(got.From)+len(got.To)+len(got.Session) != 4*maxName || len(got.Reply) != maxText {
		t.Errorf("%d bytes of EHLO, %d of reply", len(got.EHLO), len(got.Reply))
	}
}

func TestAnOlderLedgerIsMigratedForRefusals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := writeOld(path, 8, func(*store) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := Open(path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if got := readRefusals(t, path, RefusalFilter{}); got != "" {
		t.Errorf("refusals %s", got)
	}
}
