package tlsrptexplain

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/tlsrpt"
)

// who tells whose failures were taken for the sender's, and how that is known.
func who(s Activity) string {
	var all []string
	for _, sender := range s.Senders {
		all = append(all, fmt.Sprintf("%s by %s", sender.Address, sender.Match))
	}
	return strings.Join(all, ", ")
}

// Whose sessions count is decided by the report's addresses, else by names: DNS is believed
// where it leads back, and before what a client calls itself.
func TestWhoTheSenderIs(t *testing.T) {
	b := &book{
		within: []ledger.Activity{
			failed("192.0.2.1", "mx1.big.example", "early-ticket", 9),
			failed("192.0.2.2", "mx2.big.example", "early-ticket", 8),
			failed("192.0.2.3", "mx3.big.example", "early-ticket", 7),
			failed("192.0.2.4", "odd.name.test", "early-ticket", 6),
			failed("192.0.2.5", "other.test", "early-ticket", 5),
			failed("192.0.2.6", "notbig.example", "early-ticket", 4),
		},
	}
	for _, s := range b.within {
		b.troubled = append(b.troubled, s.Address)
	}
	dns := names{
		"192.0.2.1": "out1.big.example.", "out1.big.example.": "192.0.2.1",
		"192.0.2.3": "scanner.test.", "scanner.test.": "192.0.2.3", // a stranger under their name
		"192.0.2.4": "out4.big.example.", "out4.big.example.": "192.0.2.4",
		"192.0.2.5": "out5.big.example.", "out5.big.example.": "198.51.100.9", // does not lead back
	}
	given := says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, SendingMTA: netip.MustParseAddr("::ffff:192.0.2.5"), Sessions: 27})
	for name, tt := range map[string]struct {
		x         Explainer
		change    func(*Question)
		want      string
		strangers int
	}{
		"by the report's addresses": {Explainer{Ledger: b, Resolver: dns}, given, "192.0.2.5 by address", 0},
		"by names":                  {Explainer{Ledger: b, Resolver: dns}, nil, "192.0.2.1 by dns, 192.0.2.2 by ehlo, 192.0.2.4 by dns", 1},
		"offline, by EHLO alone":    {Explainer{Ledger: b}, nil, "192.0.2.1 by ehlo, 192.0.2.2 by ehlo, 192.0.2.3 by ehlo", 0},
		"the submitter's host":      {Explainer{Ledger: b}, func(q *Question) { q.Submitter = "Reports.big.example." }, "192.0.2.1 by ehlo, 192.0.2.2 by ehlo, 192.0.2.3 by ehlo", 0},
		"a whole public suffix":     {Explainer{Ledger: b}, func(q *Question) { q.Submitter = "example" }, "", 0},
		"another submitter":         {Explainer{Ledger: b, Resolver: dns}, func(q *Question) { q.Submitter = "small.example" }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			seen := ask(t, tt.x, tt.change).Activity
			if got := who(seen); got != tt.want || seen.Mismatched != tt.strangers {
				t.Errorf("got %s and %d strangers, want %s and %d", got, seen.Mismatched, tt.want, tt.strangers)
			}
		})
	}
}

// A stranger who goes on under the sender's name does not speak for it later either; and the last second of
// reports that end at 23:59:59 is looked at.
func TestOnlyTheSenderCountsAfterTheReport(t *testing.T) {
	stranger, theirs := failed("192.0.2.3", "mx3.big.example", "early-ticket", 7), failed("192.0.2.1", "mx1.big.example", "early-ticket", 2)
	b := &book{within: []ledger.Activity{stranger, theirs}, later: []ledger.Activity{stranger, theirs}}
	seen := ask(t, Explainer{Ledger: b, Resolver: names{
		"192.0.2.3": "scanner.test.", "scanner.test.": "192.0.2.3", "192.0.2.1": "out1.big.example.", "out1.big.example.": "192.0.2.1",
	}}, nil).Activity
	if seen.During.Failed != 2 || seen.After.Failed != 2 {
		t.Errorf("%d failed in the report's hours and %d later, want 2 and 2", seen.During.Failed, seen.After.Failed)
	}
	if first := b.spans[0]; !first.To.Equal(first.From.AddDate(0, 0, 1)) {
		t.Errorf("looked at %s to %s, want the day", first.From, first.To)
	}
}

func TestNamesOfMicrosoftAreThoseOfOutlook(t *testing.T) {
	if got, want := domainsOf("Microsoft.com"), []string{"microsoft.com", "outlook.com"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A resolver that hangs, and a report of ten thousand addresses, cost some seconds and no more.
func TestNamesAreLookedUpWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs []netip.Addr
		for i := range 10_000 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		silent := new(hanging)
		start := time.Now()
		if found := namesOf(t.Context(), silent, addrs); len(found) > 0 {
			t.Errorf("found %v", found)
		}
		if took := time.Since(start); took > lookupsTime || silent.asked.Load() > maxLookups {
			t.Errorf("took %v for %d questions", took, silent.asked.Load())
		}
	})
}

type hanging struct {
	names
	asked atomic.Int64
}

func (h *hanging) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	h.asked.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// By what the sender was looked for is said, of whoever was found and of nobody.
func TestHowTheSenderWasLookedForIsSaid(t *testing.T) {
	found := &book{within: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 1)}}
	dns := names{"192.0.2.7": "mx1.big.example.", "mx1.big.example.": "192.0.2.7"}
	given := says(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, SendingMTA: netip.MustParseAddr("192.0.2.7"), Sessions: 27})
	for _, tt := range []struct {
		x      Explainer
		change func(*Question)
		want   string
	}{
		{Explainer{Ledger: found, Resolver: dns}, nil, "We saw 1 address of theirs, by names in big.example that DNS confirms. "},
		{Explainer{Ledger: found, Resolver: names{}}, nil, "We saw 1 address of theirs, by names in big.example; 1 of these by EHLO alone, which is their own word. "},
		{Explainer{Ledger: found}, given, "We saw 1 address of theirs, by the addresses that the report gives. "},
		{Explainer{Ledger: &book{}, Resolver: names{}}, nil, "We saw nothing from them in these hours: no name in big.example, neither in DNS nor by EHLO."},
		{Explainer{Ledger: &book{}}, nil, "We saw nothing from them in these hours: no name in big.example by EHLO; DNS was not to be asked."},
		{Explainer{Ledger: &book{}}, func(q *Question) { q.Submitter = "microsoft.com" },
			"We saw nothing from them in these hours: no name in microsoft.com or outlook.com by EHLO; DNS was not to be asked."},
		{Explainer{Ledger: &book{}}, given, "We saw nothing from them in these hours, by the addresses that the report gives."},
	} {
		if got := ask(t, tt.x, tt.change).Activity.Text(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
