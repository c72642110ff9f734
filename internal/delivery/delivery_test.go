package delivery

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/interop"
)

// A book has failing senders and those that work.
type book struct {
	failing []ledger.FailingSender
	working []ledger.WorkingSender
}

func (b book) Failing(context.Context, ledger.Span, int) ([]ledger.FailingSender, error) {
	return b.failing, nil
}

func (b book) WorkingSince(context.Context, time.Time, []string, []string) ([]ledger.WorkingSender, error) {
	return b.working, nil
}

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// host is a host of an organization that delivered yesterday, and failed once, an age ago.
func host(network, name, fingerprint string, age time.Duration) ledger.FailingSender {
	return ledger.FailingSender{
		Network: netip.MustParsePrefix(network), EHLO: name, Fingerprint: fingerprint, Failed: 1,
		Since: now.Add(-age), Last: now.Add(-age), Worked: now.Add(-24 * time.Hour), Diagnosis: ledger.Diagnosis{Case: ledger.Unknown},
	}
}

// An organization retries from other hosts. Each of them failed once, so only together do they
// say that it cannot deliver.
func TestHostsThatFailOneAfterAnother(t *testing.T) {
	const a, b = "192.0.2.0/24", "198.51.100.0/24"
	for name, test := range map[string]struct {
		failing []ledger.FailingSender
		working []ledger.WorkingSender
		want    Effect
	}{
		"one host":                {[]ledger.FailingSender{host(a, "mx1.bank.example", "x", time.Hour)}, nil, LastFailed},
		"two hosts":               {[]ledger.FailingSender{host(a, "mx1.bank.example", "x", time.Hour), host(b, "mx2.bank.example", "x", 0)}, nil, CannotDeliver},
		"in another order":        {[]ledger.FailingSender{host(a, "mx1.bank.example", "x", 0), host(b, "mx2.bank.example", "x", time.Hour)}, nil, CannotDeliver},
		"in one attempt":          {[]ledger.FailingSender{host(a, "mx1.bank.example", "x", 30*time.Second), host(b, "mx2.bank.example", "x", 0)}, nil, LastFailed},
		"with different software": {[]ledger.FailingSender{host(a, "mx1.bank.example", "x", time.Hour), host(b, "mx2.bank.example", "y", 0)}, nil, LastFailed},
		"of different organizations": {
			[]ledger.FailingSender{host(a, "mx1.bank.example", "x", time.Hour), host(b, "mx.clinic.example", "x", 0)}, nil, LastFailed,
		},
		"of no organization": {[]ledger.FailingSender{host(a, "localhost", "x", time.Hour), host(b, "localhost", "x", 0)}, nil, LastFailed},
		"and a third one delivers": {
			[]ledger.FailingSender{host(a, "mx1.bank.example", "x", time.Hour), host(b, "mx2.bank.example", "x", time.Minute)},
			[]ledger.WorkingSender{{Network: netip.MustParsePrefix("203.0.113.0/24"), Organization: "bank.example", Fingerprint: "x", Worked: now}}, None,
		},
	} {
		judged, err := Judge(t.Context(), book{test.failing, test.working}, ledger.Span{})
		if err != nil || len(judged) != len(test.failing) {
			t.Fatalf("%s: %+v, %v", name, judged, err)
		}
		for _, s := range judged {
			if s.Effect != test.want {
				t.Errorf("%s: %s is judged %v, want %v", name, s.EHLO, s.Effect, test.want)
			}
		}
	}
}

func TestNextStepIsOneThatCanBeTaken(t *testing.T) {
	tickets, _ := interop.Find("cached-session-alert")
	one, two := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")}
	for name, test := range map[string]struct{ got, want string }{
		"Postern has fallen back":  {NextStep(CannotDeliver, tickets, "mode no-ticket: it closed silently", false, one), "Wait for its next attempt, which Postern answers in mode no-ticket."},
		"and it sent in plaintext": {NextStep(InPlaintext, tickets, "mode no-ticket: it closed silently", true, one), "senders pin 192.0.2.0/24 no-ticket"},
		"the mode stays":           {NextStep(CannotDeliver, tickets, "mode own-write again: the failure does not point to the mode", false, one), "senders pin 192.0.2.0/24 no-ticket"},
		"several networks":         {NextStep(CannotDeliver, tickets, "", false, two), "senders pin NETWORK no-ticket"},
		"no case":                  {NextStep(CannotDeliver, nil, "nothing: no ClientHello arrived", false, one), "Look at the handshake, and ask"},
		"it may be an accident":    {NextStep(LastFailed, nil, "", false, one), "Wait for its next attempt. If that fails too"},
		"plaintext and no case":    {NextStep(InPlaintext, nil, "", true, one), "Ask the sender's postmaster"},
	} {
		if !strings.Contains(test.got, test.want) {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
}
