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
	for want, s := range map[string]ledger.Sender{
		"Microsoft: outlook.com and Exchange Online": {EHLO: "mail-x.outbound.protection.outlook.com", Fingerprint: "t13d1516h2_aaaaaaaaaaaa_bbbbbbbbbbbb"},
		"Postfix, Exim and others with OpenSSL":      {EHLO: "mail.example.org", Fingerprint: "t13d2113h0_aaaaaaaaaaaa_cccccccccccc"},
		"Gateways with TLS 1.2 at most":              {EHLO: "gateway.example.org", Fingerprint: "t12d2113h0_dddddddddddd_cccccccccccc"},
		"":                                           {EHLO: "notoutlook.com", Fingerprint: "t13d2113h0_dddddddddddd_cccccccccccc"},
	} {
		got := ""
		for _, g := range groups {
			if g.matches(s, suites) {
				got = g.Name
				break
			}
		}
		if got != want {
			t.Errorf("%s %s is of %q, want %q", s.EHLO, s.Fingerprint, got, want)
		}
	}
}
