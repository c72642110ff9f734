package tlsrptin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/publicsuffix"

	"postern/internal/smtp"
	"postern/tlsrpt"
)

// A verdict is what is known of who sent a report.
type verdict struct {
	trusted   bool
	signer    string // whose signature holds
	submitter string
	words     string
	later     bool // a key that would settle it could not be asked for now
}

// maxSignatures bounds the work for one mail. Honest ones have up to three.
const maxSignatures = 5

// signatures are what became of those of a mail.
type signatures struct {
	found []*dkim.Verification
	err   error // they cannot be read
}

// signatures looks at those of a mail.
func (k keys) signatures(ctx context.Context, mail []byte) signatures {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return k.lookup(ctx, name) },
		MaxVerifications: maxSignatures,
	})
	if errors.Is(err, dkim.ErrTooManySignatures) {
		err = nil // those looked at may do
	}
	return signatures{found, err}
}

// judge says whether a report is its submitter's (RFC 8460, Section 3: signed by the reporting
// domain). A signature that holds is not enough: anybody can sign for a domain of his own, and
// the submitter is who the mail says.
func (s signatures) judge(m *tlsrpt.Mail) verdict {
	v := verdict{submitter: submitter(m), words: "is not signed"}
	if s.err != nil {
		v.words = "its signatures cannot be read: " + s.err.Error()
	}
	for _, f := range s.found {
		v.weigh(f)
	}
	v.later = v.later && !v.trusted
	return v
}

// weigh takes in one signature. The first that holds for the submitter settles it, else
// the last says what is wrong.
func (v *verdict) weigh(f *dkim.Verification) {
	signer := smtp.FoldDomain(f.Domain)
	speaks := v.submitter == "" || aligned(signer, v.submitter)
	switch {
	case v.trusted:
	case f.Err != nil:
		v.later = v.later || speaks && dkim.IsTempFail(f.Err)
		if v.signer == "" {
			v.words = fmt.Sprintf("the signature of %.255q %s: %s", f.Domain, outcome(f.Err), strings.TrimPrefix(f.Err.Error(), "dkim: "))
		}
	case speaks:
		v.trusted, v.signer, v.submitter = true, signer, cmp.Or(v.submitter, signer)
		v.words = "signed by " + signer
	default:
		v.signer = signer
		v.words = fmt.Sprintf("signed by %s, which does not speak for %s", signer, v.submitter)
	}
}

// outcome says whether a signature is wrong, or nobody can tell.
func outcome(err error) string {
	if dkim.IsTempFail(err) {
		return "cannot be checked"
	}
	return "does not hold"
}

// submitter is the domain that a mail says to come from: by its header, else by the name of
// the report's file.
func submitter(m *tlsrpt.Mail) string {
	return smtp.FoldDomain(cmp.Or(strings.TrimSpace(m.Submitter), m.Name.Submitter))
}

// aligned reports whether a domain's signature speaks for the submitter: both are of one
// organisation, as with DMARC's relaxed alignment (RFC 7489, Section 3.1.1). Providers sign
// for mail.example.com as example.com, and the other way round.
func aligned(signer, submitter string) bool {
	a, errA := publicsuffix.EffectiveTLDPlusOne(signer)
	b, errB := publicsuffix.EffectiveTLDPlusOne(submitter)
	return errA == nil && errB == nil && a == b
}

// keys looks up the keys of DKIM signatures (RFC 6376, Section 3.6.2), for TLS reports.
type keys struct {
	texts func(ctx context.Context, name string) ([]string, error)
}

func newKeys(server string) keys {
	if server == "" {
		return keys{net.DefaultResolver.LookupTXT}
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	return keys{func(ctx context.Context, name string) ([]string, error) {
		records, err := resolver.LookupTXT(ctx, name)
		var dns *net.DNSError
		if errors.As(err, &dns) {
			dns.Server = server // package net names the system's, which was not asked
		}
		return records, err
	}}
}

// noKeys asks nobody.
func noKeys(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "nobody was to be asked", Name: name, IsTemporary: true}
}

// keyTime bounds one look-up. A signer whose servers are slower is asked again later, if
// there is a later.
const keyTime = 10 * time.Second

// lookup is what go-msgauth asks for a key. It takes its error by its type, so none
// is wrapped.
func (k keys) lookup(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTime)
	defer cancel()
	records, err := k.texts(ctx, name)
	if err != nil || len(records) != 1 {
		return records, err
	}
	record, err := forReports(records[0])
	return []string{record}, err
}

var errTesting = errors.New("the key is for testing only (t=y)")

// forReports returns a key record as go-msgauth takes it: that knows no service but email,
// so what says for which services the key is (RFC 6376, Section 3.6.1) is judged here and
// left out. A key without that is for all. RFC 8460, Section 3, lets us ignore reports whose
// key is not for tlsrpt.
func forReports(record string) (string, error) {
	var kept []string
	for tag := range strings.SplitSeq(record, ";") {
		name, value, _ := strings.Cut(tag, "=")
		values := strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' || r == '\t' })
		switch strings.TrimSpace(name) {
		case "s":
			if !slices.Contains(values, "tlsrpt") && !slices.Contains(values, "*") {
				return "", fmt.Errorf("the key is not for TLS reports (s=%.40q)", strings.TrimSpace(value))
			}
		case "t":
			if slices.Contains(values, "y") { // RFC 6376: as if there were no signature
				return "", errTesting
			}
			kept = append(kept, tag)
		default:
			kept = append(kept, tag)
		}
	}
	return strings.Join(kept, ";"), nil
}
