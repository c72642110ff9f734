package tlsrptexplain

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/ledger"
	"postern/tlsrpt"
)

// matches lists the addresses that were matched, and how.
func matches(a Activity) string {
	var all []string
	for _, sender := range a.Senders {
		all = append(all, fmt.Sprintf("%s by %s", sender.Address, sender.Match))
	}
	return strings.Join(all, ", ")
}

// The report's addresses decide whose sessions count, otherwise names: forward-confirmed
// reverse DNS takes precedence over EHLO.
func TestReportIsMatchedToSessions(t *testing.T) {
	b := &fakeLedger{
		during: []ledger.Activity{
			failed("192.0.2.1", "mx1.big.example", "early-ticket", 9),
			failed("192.0.2.2", "mx2.big.example", "early-ticket", 8),
			failed("192.0.2.3", "mx3.big.example", "early-ticket", 7),
			failed("192.0.2.4", "odd.name.test", "early-ticket", 6),
			failed("192.0.2.5", "other.test", "early-ticket", 5),
			failed("192.0.2.6", "notbig.example", "early-ticket", 4),
		},
	}
	for _, s := range b.during {
		b.failing = append(b.failing, s.Address)
	}
	dns := fakeDNS{
		"192.0.2.1": "out1.big.example.", "out1.big.example.": "192.0.2.1",
		"192.0.2.3": "scanner.test.", "scanner.test.": "192.0.2.3", // an impostor by EHLO
		"192.0.2.4": "out4.big.example.", "out4.big.example.": "192.0.2.4",
		"192.0.2.5": "out5.big.example.", "out5.big.example.": "198.51.100.9", // not confirmed
	}
	stored := &fakeLedger{during: slices.Clone(b.during)}
	stored.during[0].Name, stored.during[2].Name = "out1.big.example", "scanner.test"
	given := withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, SendingMTA: netip.MustParseAddr("::ffff:192.0.2.5"), Sessions: 27})
	for name, tt := range map[string]struct {
		x          Explainer
		change     func(*Question)
		want       string
		mismatched int
	}{
		"by the report's addresses": {Explainer{Ledger: b, Resolver: dns}, given, "192.0.2.5 by address", 0},
		"by names":                  {Explainer{Ledger: b, Resolver: dns}, nil, "192.0.2.1 by dns, 192.0.2.2 by ehlo, 192.0.2.4 by dns", 1},
		"offline, by EHLO alone":    {Explainer{Ledger: b}, nil, "192.0.2.1 by ehlo, 192.0.2.2 by ehlo, 192.0.2.3 by ehlo", 0},
		"offline, by stored names":  {Explainer{Ledger: stored}, nil, "192.0.2.1 by dns, 192.0.2.2 by ehlo", 1},
		"the submitter's host":      {Explainer{Ledger: b}, func(q *Question) { q.Submitter = "Reports.big.example." }, "192.0.2.1 by ehlo, 192.0.2.2 by ehlo, 192.0.2.3 by ehlo", 0},
		"a whole public suffix":     {Explainer{Ledger: b}, func(q *Question) { q.Submitter = "example" }, "", 0},
		"another submitter":         {Explainer{Ledger: b, Resolver: dns}, func(q *Question) { q.Submitter = "small.example" }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			activity := explain(t, tt.x, tt.change).Activity
			if got := matches(activity); got != tt.want || activity.Mismatched != tt.mismatched {
				t.Errorf("got %s and %d mismatched, want %s and %d", got, activity.Mismatched, tt.want, tt.mismatched)
			}
		})
	}
}

// An address that was excluded stays excluded in later sessions. The last second of a
// report that ends at 23:59:59 is included.
func TestOnlyTheSenderCountsAfterTheReport(t *testing.T) {
	impostor, sender := failed("192.0.2.3", "mx3.big.example", "early-ticket", 7), failed("192.0.2.1", "mx1.big.example", "early-ticket", 2)
	b := &fakeLedger{during: []ledger.Activity{impostor, sender}, later: []ledger.Activity{impostor, sender}}
	activity := explain(t, Explainer{Ledger: b, Resolver: fakeDNS{
		"192.0.2.3": "scanner.test.", "scanner.test.": "192.0.2.3", "192.0.2.1": "out1.big.example.", "out1.big.example.": "192.0.2.1",
	}}, nil).Activity
	if activity.During.Failed != 2 || activity.After.Failed != 2 {
		t.Errorf("%d failed in the report's hours and %d later, want 2 and 2", activity.During.Failed, activity.After.Failed)
	}
	if first := b.spans[0]; !first.To.Equal(first.From.AddDate(0, 0, 1)) {
		t.Errorf("searched %s to %s, want the day", first.From, first.To)
	}
}

// An unverified report is matched too, and may give any number of addresses.
func TestAddressesOfAReportAreBounded(t *testing.T) {
	b := &fakeLedger{}
	explain(t, Explainer{Ledger: b}, func(q *Question) {
		q.Verified = false
		for i := range 20_000 {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			q.Report.Policies[0].Failures = append(q.Report.Policies[0].Failures, tlsrpt.Failure{SendingMTA: addr, Sessions: int64(i)})
		}
	})
	if whose := b.queries[0]; len(whose.Addresses) != maxAddresses || whose.Addresses[0] != netip.MustParseAddr("10.0.78.31") {
		t.Errorf("searched for %d addresses, the first %s", len(whose.Addresses), whose.Addresses[0])
	}
}

func TestMicrosoftsHostsAreNamedOutlook(t *testing.T) {
	if got, want := hostDomains("Microsoft.com"), []string{"microsoft.com", "outlook.com"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestActivityTextSaysHowTheSenderWasMatched(t *testing.T) {
	found := &fakeLedger{during: []ledger.Activity{failed("192.0.2.7", "mx1.big.example", "early-ticket", 1)}}
	dns := fakeDNS{"192.0.2.7": "mx1.big.example.", "mx1.big.example.": "192.0.2.7"}
	two := &fakeLedger{during: append(slices.Clone(found.during), failed("192.0.2.8", "mx2.big.example", "early-ticket", 1))}
	given := withFailures(tlsrpt.Failure{Result: tlsrpt.ValidationFailure, SendingMTA: netip.MustParseAddr("192.0.2.7"), Sessions: 27})
	for _, tt := range []struct {
		x      Explainer
		change func(*Question)
		want   string
	}{
		{Explainer{Ledger: found, Resolver: dns}, nil, "Matched to sessions from 1 address by forward-confirmed reverse DNS in big.example. "},
		{Explainer{Ledger: found, Resolver: fakeDNS{}}, nil, "Matched to sessions from 1 address by EHLO names in big.example, which DNS does not confirm. "},
		{Explainer{Ledger: found}, nil, "Matched to sessions from 1 address by EHLO names in big.example (reverse DNS not checked). "},
		{Explainer{Ledger: two, Resolver: dns}, nil,
			"Matched to sessions from 2 addresses with names in big.example: 1 by forward-confirmed reverse DNS, 1 by EHLO, which DNS does not confirm. "},
		{Explainer{Ledger: found}, given, "Matched to sessions from 1 address by the addresses in the report. "},
		{Explainer{Ledger: &fakeLedger{}, Resolver: fakeDNS{}}, nil, "No sessions from the sender in these hours: no host name in big.example, in reverse DNS or EHLO."},
		{Explainer{Ledger: &fakeLedger{}}, nil, "No sessions from the sender in these hours: no EHLO name in big.example (reverse DNS not checked)."},
		{Explainer{Ledger: &fakeLedger{}}, func(q *Question) { q.Submitter = "microsoft.com" },
			"No sessions from the sender in these hours: no EHLO name in microsoft.com or outlook.com (reverse DNS not checked)."},
		{Explainer{Ledger: &fakeLedger{}}, given, "No sessions from the sender in these hours: none from the addresses in the report."},
	} {
		if got := explain(t, tt.x, tt.change).Activity.Text(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
