package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testreport"
	"postern/internal/testzone"
)

// The Postern of the demo.
const (
	hostname      = "mx.demo.example"
	domain        = "demo.example"
	otherDomain   = "branch.demo.example" // it asks for no TLS reports
	recipient     = "office@demo.example"
	reportAddress = "tls-reports@demo.example"
)

// expiredFor is how long ago the certificate expired.
const expiredFor = 50 * time.Minute

// A world is everybody but Postern: senders, DNS, authorities.
type world struct {
	scope          *testpeer.Scope
	now            time.Time
	valid, expired *testcert.Pair
	senders        []*sender
	signers        map[string]*testreport.Signer // of TLS reports, by domain
	resolver       string
}

// A sender is a host that delivers mail.
type sender struct {
	host  string // its name, in EHLO and in DNS
	addr  netip.Addr
	every time.Duration // how often it delivers

	was     *persona.Persona // how it behaves
	is      *persona.Persona // how it behaves since it changed; nil if it did not
	program string           // a real program that it is, in place of a persona
}

func newWorld(scope *testpeer.Scope, now time.Time) *world {
	ca := testcert.NewCA(scope)
	w := &world{
		scope: scope, now: now,
		valid:   testcert.New(scope, testcert.Options{Names: []string{hostname}, CA: ca}),
		expired: testcert.New(scope, testcert.Options{Names: []string{hostname}, CA: ca, NotAfter: now.Add(-expiredFor)}),
		senders: senders(),
		signers: make(map[string]*testreport.Signer),
	}
	records := []string{
		domain + ". MX 10 " + hostname + ".",
		otherDomain + ". MX 10 " + hostname + ".",
		hostname + ". A 127.0.0.1",
		"_smtp._tls." + domain + `. TXT "v=TLSRPTv1; rua=mailto:` + reportAddress + `"`,
	}
	for _, s := range w.senders {
		records = append(records, s.records()...)
	}
	for _, domain := range []string{"microsoft.com", "university.example"} {
		w.signers[domain] = testreport.NewSigner(scope, domain)
		records = append(records, w.signers[domain].KeyRecord(""))
	}
	w.resolver = testzone.Start(scope, testzone.Zone{Name: ".", Records: records}).Addr
	return w
}

// records are the DNS records that confirm a sender's name.
func (s *sender) records() []string {
	kind := "AAAA"
	if s.addr.Is4() {
		kind = "A"
	}
	reverse, err := dns.ReverseAddr(s.addr.String())
	if err != nil {
		panic(err) // a bug in the list of senders
	}
	return []string{
		fmt.Sprintf("%s PTR %s.", reverse, strings.ToLower(s.host)),
		fmt.Sprintf("%s. %s %s", strings.ToLower(s.host), kind, s.addr),
	}
}

// Some of the senders.
const (
	outlook    = "outlook.com"
	bank       = "bank.example"
	clinic     = "clinic.example"
	newsletter = "newsletter.example"
	scanner    = "scanner.example"
	university = "university.example"
	club       = "club.example"
)

// senders returns all senders. Each has a network of its own.
func senders() []*sender {
	return []*sender{
		// The client of October 2024 (https://go.dev/issue/70232): one day these hosts get
		// software that refuses an early session ticket.
		{host: "NAM12-BN8-obe.outbound.protection.outlook.com", addr: ip("198.18.1.10"), every: 2 * time.Hour, was: play("healthy-schannel"), is: play("early-ticket")},
		{host: "EUR05-DB8-obe.outbound.protection.outlook.com", addr: ip("198.18.2.10"), every: 3 * time.Hour, was: play("healthy-schannel"), is: play("early-ticket")},
		{host: "APC01-SG2-obe.outbound.protection.outlook.com", addr: ip("198.18.3.10"), every: 5 * time.Hour, was: play("healthy-schannel"), is: play("early-ticket")},

		// It verifies certificates, as senders do that follow an MTA-STS policy.
		{host: "mx1.bank.example", addr: ip("198.18.20.5"), every: 2 * time.Hour, was: play("certificate-refused")},
		{host: "mx2.bank.example", addr: ip("198.18.21.5"), every: 3 * time.Hour, was: play("certificate-refused")},

		// Old software: it delivers in plaintext.
		{host: "fax.clinic.example", addr: ip("198.18.30.8"), every: 9 * time.Hour, was: play("falls-back-to-plaintext")},

		{host: "out.newsletter.example", addr: ip("198.18.40.1"), every: time.Hour, was: play("healthy-openssl")},
		{host: "mail.university.example", addr: ip("2001:db8:50::25"), every: 2 * time.Hour, was: play("healthy-gnutls")},
		{host: "mail.city.example", addr: ip("198.18.60.2"), every: 3 * time.Hour, was: play("healthy-openssl")},
		{host: "smtp.shop.example", addr: ip("2001:db8:70::25"), every: 4 * time.Hour, was: play("tls12-only")},
		{host: "mail.club.example", addr: ip("198.18.80.9"), every: 12 * time.Hour, was: play("healthy-go")},

		// Real programs, if they are installed.
		{host: "sender.test", addr: ip("198.18.90.1"), every: 8 * time.Hour, program: "openssl"},
		{host: "sender.test", addr: ip("198.18.91.1"), every: 8 * time.Hour, program: "gnutls-cli"},
		{host: "sender.test", addr: ip("198.18.92.1"), every: 8 * time.Hour, program: "swaks"},

		// It is no sender: it tries one ClientHello after the other.
		{host: "research.scanner.example", addr: ip("198.18.99.99")},
	}
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func play(id string) *persona.Persona {
	p, ok := persona.Find(id)
	if !ok {
		panic("demo: no persona " + id) // a bug in the list of senders
	}
	return p
}

// in reports whether a sender is of a domain.
func (s *sender) in(domain string) bool { return strings.HasSuffix(s.host, "."+domain) }

// of returns the senders of a domain.
func (w *world) of(domain string) (all []*sender) {
	for _, s := range w.senders {
		if s.in(domain) {
			all = append(all, s)
		}
	}
	return all
}
