package selfcheck

import (
	"testing"

	"postern/internal/ledger"
	"postern/internal/persona"
)

func TestEveryTestClientIsInOneGroup(t *testing.T) {
	in := make(map[string]string)
	for _, g := range Groups() {
		for _, id := range g.Personas {
			if _, ok := persona.Find(id); !ok {
				t.Errorf("%s: no test client %s", g.Name, id)
			}
			if other := in[id]; other != "" {
				t.Errorf("%s is in %s and in %s", id, other, g.Name)
			}
			in[id] = g.Name
		}
	}
	for _, p := range persona.All() {
		if in[p.ID] == "" {
			t.Errorf("%s is in no group", p.ID)
		}
	}
}

func TestRealSendersAreRecognised(t *testing.T) {
	suites := map[string]string{"healthy-openssl": "aaaaaaaaaaaa"}
	const (
		outlook = "mail-x.outbound.protection.outlook.com"
		other   = "t13d2113h0_dddddddddddd_cccccccccccc"
	)
	for _, test := range []struct {
		want string
		ledger.Sender
	}{
		{"Microsoft: outlook.com and Exchange Online", ledger.Sender{EHLO: outlook, Fingerprint: "t13d1516h2_aaaaaaaaaaaa_bbbbbbbbbbbb"}},
		{"Microsoft: outlook.com and Exchange Online", ledger.Sender{EHLO: "mail.example.org", Name: outlook, Fingerprint: other}},
		{"Postfix, Exim and others with OpenSSL", ledger.Sender{EHLO: "mail.example.org", Fingerprint: "t13d2113h0_aaaaaaaaaaaa_cccccccccccc"}},
		{"Gateways with TLS 1.2 at most", ledger.Sender{EHLO: "gateway.example.org", Fingerprint: "t12d2113h0_dddddddddddd_cccccccccccc"}},
		{"", ledger.Sender{EHLO: "notoutlook.com", Fingerprint: other}},
		{"", ledger.Sender{EHLO: outlook, Name: "mail.stranger.example", Fingerprint: other}}, // reverse DNS knows better
		{"", ledger.Sender{EHLO: "mail.example.org"}},
	} {
		if got := groupOf(test.Sender, suites); got != test.want {
			t.Errorf("%s %s %s is of %q, want %q", test.Name, test.EHLO, test.Fingerprint, got, test.want)
		}
	}
}
