package organization

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

// A zone has the names of addresses, and the addresses of names. Nil is no answer.
type zone map[string][]string

func (z zone) LookupAddr(_ context.Context, addr string) ([]string, error) { return z.answer(addr) }

func (z zone) LookupNetIP(_ context.Context, _, host string) (addrs []netip.Addr, err error) {
	all, err := z.answer(host)
	for _, one := range all {
		addrs = append(addrs, netip.MustParseAddr(one))
	}
	return addrs, err
}

func (z zone) answer(name string) ([]string, error) {
	answer, known := z[name]
	switch {
	case !known:
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	case answer == nil:
		return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
	}
	return answer, nil
}

func TestReverseNameCountsIfItIsConfirmed(t *testing.T) {
	names := zone{
		"192.0.2.1":    {"mail.sender.example."},
		"192.0.2.2":    {"mail.google.com.", "mail.sender.example."}, // the first is a lie
		"192.0.2.3":    {"mail.google.com."},
		"192.0.2.4":    nil,
		"192.0.2.5":    {"slow.example."},
		"2001:db8::25": {"mail.sender.example."},
		"192.0.2.7":    {"a.example.", "b.example.", "c.example.", "d.example.", "fifth.example."},

		"mail.sender.example.": {"192.0.2.1", "192.0.2.2", "2001:db8::25"},
		"mail.google.com.":     {"198.51.100.1"},
		"slow.example.":        nil,
		"fifth.example.":       {"192.0.2.7"},
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "mail.sender.example.", "::ffff:192.0.2.1": "mail.sender.example.", "2001:db8::25": "mail.sender.example.",
		"192.0.2.2": "mail.sender.example.", "192.0.2.3": "", "192.0.2.6": "", "192.0.2.7": "",
	} {
		if got, _ := ConfirmedName(t.Context(), names, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	for _, silent := range []string{"192.0.2.4", "192.0.2.5"} {
		_, err := ConfirmedName(t.Context(), names, netip.MustParseAddr(silent))
		if unanswered := new(net.DNSError); !errors.As(err, &unanswered) || !unanswered.IsTimeout {
			t.Errorf("%s: %v, want a timeout", silent, err)
		}
	}
}

func TestGenericNamesRepeatTheAddress(t *testing.T) {
	for name, want := range map[string]bool{
		"static.33.2.0.192.clients.provider.example": true,
		"192-0-2-33.dsl.provider.example":            true,
		"host-192.000.002.033.provider.example":      true,
		"c0000221.provider.example":                  true,
		"mail33.sender.example":                      false,
		"a192-33.smtp-out.amazonses.com":             false,
		"mail.sender.example":                        false,
		"":                                           false,
	} {
		if got := Generic(name, netip.MustParseAddr("192.0.2.33")); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
