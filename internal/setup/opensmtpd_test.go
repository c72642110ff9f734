package setup

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/listening"
)

// What an OpenSMTPD has on port 25 moves to loopback, with its filters; its rules and its other
// ports stay.
func TestOpenSMTPDLeavesPort25InItsConfiguration(t *testing.T) {
	domains := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(domains, []byte("example.org\nexample.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const before = `filter "dnsbl" phase connect match rdns disconnect "550 no \\ name"
listen on 0.0.0.0 tls pki mx filter "dnsbl" no-dsn # the Internet
listen on :: port smtp tls-require verify pki mx
listen on lo port 26
listen on 0.0.0.0 smtps pki mx auth <users>

action "local" maildir
`
	const rules = `match from any for domain <ours> action "local"
match from local for any action "relay"
`
	configuration := "table ours file:" + domains + "\npki mx cert \"/none\"\n" + before + rules
	s := readOpenSMTPD(configuration, "mx.example.org")
	if s.steps == nil || strings.Join(s.domains, " ") != "example.org example.net" {
		t.Fatalf("%+v", s)
	}
	m := &Machine{Domains: s.domains, sockets: []listening.Socket{{Address: netip.MustParseAddrPort("0.0.0.0:25")}, {Address: netip.MustParseAddrPort("127.0.0.1:10025")}}}
	h := s.steps(m)
	file := filepath.Join(t.TempDir(), "smtpd.conf")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("listen on 0.0.0.0 tls", "#listen on 0.0.0.0 tls", "listen on ::", "#listen on ::").Replace(strings.TrimSuffix(configuration, rules)) +
		`# Port 10026 is for mail from Postern, which says who the sender is. No client can relay there.
listen on 127.0.0.1 port 10026 proxy-v2 tag postern filter "dnsbl" no-dsn
listen on 127.0.0.1 tls pki mx filter "dnsbl" no-dsn
match tag postern from any ! for domain <ours> reject
` + rules
	checkHandover(t, h, openSMTPDFile, file, want)

	// A new plan, after a step of the first one failed, has another port if OpenSMTPD has opened that one.
	m.sockets = append(m.sockets, listening.Socket{Address: netip.MustParseAddrPort("127.0.0.1:10026")})
	runHandover(t, h.leave, openSMTPDFile, file)
	again := readOpenSMTPD(want, "mx.example.org").steps(m)
	if got := runHandover(t, again.leave, openSMTPDFile, file); !strings.Contains(got, "\nlisten on 127.0.0.1 port 10027 proxy-v2 tag postern") {
		t.Errorf("Postern would connect to %s, with the configuration\n%s", again.nextHop, got)
	}
}

func TestDomainsOfOpenSMTPDAreThoseThatAnyClientCanReach(t *testing.T) {
	for configuration, want := range map[string]string{
		`match from any for domain "example.org" action "local"`:                                     "example.org",
		`match from any for domain { "example.org", example.net } action "local"`:                    "example.org example.net",
		"table ours { \"example.org\" }\nmatch from any for domain <ours> action a":                  "example.org",
		"ours = \"example.org\"\nmatch from any for domain $ours action a":                           "example.org",
		"match from any for local action a":                                                          "mx.example.org",
		"match auth from any for any action relay\nmatch from any for domain \"a.example\" action a": "a.example",
		"match from any for any rcpt-to <list> action a":                                             "",
		"match from any for domain \"a.example\" reject":                                             "",
		"match from local for domain \"partner.example\" action a":                                   "",
		"match from any for domain <ours> action a":                                                  "",
	} {
		if s := readOpenSMTPD(configuration+"\n", "mx.example.org"); strings.Join(s.domains, " ") != want {
			t.Errorf("%s: %q, want %q", configuration, s.domains, want)
		}
	}
}

// Lines that cannot be moved safely are left to the administrator.
func TestNoPlanForAnOpenSMTPDThatIsNotUnderstood(t *testing.T) {
	const rule = "match from any for domain \"example.org\" action a\n"
	for _, configuration := range []string{
		"listen on 0.0.0.0\nmatch for local action a\n",
		"include \"/etc/more.conf\"\n" + rule,
		"listen on 0.0.0.0 \\\n tls pki mx\n" + rule,
		"listen on 0.0.0.0 proxy-v2\n" + rule,
		"listen on 0.0.0.0 tag \"inet\"\n" + rule,
	} {
		if s := readOpenSMTPD(configuration, ""); s.steps != nil || len(s.notes) == 0 {
			t.Errorf("%s: %+v", configuration, s)
		}
	}
}
