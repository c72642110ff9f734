package testreport

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"postern/internal/testzone"
)

// A Signer signs messages for a domain with DKIM (RFC 6376).
type Signer struct {
	Domain  string
	Expires time.Time // of the signatures; zero if they do not expire
	key     ed25519.PrivateKey
}

const selector = "reports"

// NewSigner returns a Signer with a new key.
func NewSigner(t T, domain string) *Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &Signer{Domain: domain, key: key}
}

// Sign returns a message with a signature of its body and its header fields.
func (s *Signer) Sign(t T, mail string) string {
	t.Helper()
	var signed strings.Builder
	err := dkim.Sign(&signed, strings.NewReader(mail), &dkim.SignOptions{
		Domain: s.Domain, Selector: selector, Signer: s.key, Expiration: s.Expires,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Date", "Subject", "Message-ID", "TLS-Report-Domain", "TLS-Report-Submitter", "MIME-Version", "Content-Type"},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return signed.String()
}

// KeyRecord returns the TXT record of the key in zone file format, with additional tags
// such as "s=tlsrpt;".
func (s *Signer) KeyRecord(tags string) string {
	public := base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
	return fmt.Sprintf(`%s._domainkey.%s. 60 IN TXT "v=DKIM1; k=ed25519; %s p=%s"`, selector, s.Domain, tags, public)
}

// Resolver starts a DNS server with TXT records and returns its address. Queries for
// broken.test and below it fail.
func Resolver(t T, records ...string) (addr string) {
	t.Helper()
	fail := func(answer *dns.Msg) {
		if dns.IsSubDomain("broken.test.", answer.Question[0].Name) {
			answer.Rcode, answer.Answer, answer.Ns = dns.RcodeServerFailure, nil, nil
		}
	}
	return testzone.Start(t, testzone.Zone{Name: ".", Records: records, Modify: fail}).Addr
}
