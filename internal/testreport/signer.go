package testreport

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"
)

// A Signer signs mails for a domain with DKIM (RFC 6376).
type Signer struct {
	Domain string
	key    ed25519.PrivateKey
}

const selector = "reports"

// NewSigner makes one with a key of its own.
func NewSigner(t T, domain string) *Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &Signer{domain, key}
}

// Sign returns the mail with a signature before it, over all that a report's mail has in its
// header.
func (s *Signer) Sign(t T, mail string) string {
	t.Helper()
	var signed strings.Builder
	err := dkim.Sign(&signed, strings.NewReader(mail), &dkim.SignOptions{
		Domain: s.Domain, Selector: selector, Signer: s.key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Date", "Subject", "Message-ID", "TLS-Report-Domain", "TLS-Report-Submitter", "MIME-Version", "Content-Type"},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return signed.String()
}

// Record is the key's, in zone-file form. More tags stand before the key, such as "s=tlsrpt;".
func (s *Signer) Record(tags string) string {
	public := base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
	return fmt.Sprintf(`%s._domainkey.%s. 60 IN TXT "v=DKIM1; k=ed25519; %s p=%s"`, selector, s.Domain, tags, public)
}

// Broken is a record that stands for a zone whose servers fail.
func (s *Signer) Broken() string {
	return fmt.Sprintf(`%s._domainkey.%s. 60 IN TYPE65280 \# 0`, selector, s.Domain)
}

// Resolver answers for TXT records on loopback until the test ends. It returns the server's
// address.
func Resolver(t T, records ...string) (addr string) {
	t.Helper()
	zone := make(map[string]dns.RR)
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		zone[strings.ToLower(record.Header().Name)] = record
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		record := zone[strings.ToLower(question.Question[0].Name)]
		switch {
		case record == nil:
			answer.Rcode = dns.RcodeNameError
		case record.Header().Rrtype == dns.TypeTXT:
			answer.Answer = []dns.RR{record}
		default:
			answer.Rcode = dns.RcodeServerFailure
		}
		w.WriteMsg(answer)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return conn.LocalAddr().String()
}
