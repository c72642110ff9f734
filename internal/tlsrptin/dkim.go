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

// maxSignatures bounds the work for one message. Genuine ones have up to three.
const maxSignatures = 5

// signatures is the result of verifying the DKIM signatures of a message.
type signatures struct {
	all []*dkim.Verification
	err error // the signatures cannot be parsed
}

// verifySignatures verifies the DKIM signatures of a message (RFC 6376).
func verifySignatures(ctx context.Context, keys keyLookup, mail []byte) signatures {
	all, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return keys.forReports(ctx, name) },
		MaxVerifications: maxSignatures,
	})
	if errors.Is(err, dkim.ErrTooManySignatures) {
		err = nil // the first ones may suffice
	}
	return signatures{all, err}
}

// A verdict says whether a report was sent by its submitter.
type verdict struct {
	verified  bool
	signer    string // the domain of a valid signature
	submitter string
	reason    string // for people
	retry     bool   // a key that could change the verdict cannot be looked up now
}

// verdict decides whether a report was sent by its submitter: the submitter's domain has
// to sign it (RFC 8460, Section 3). A valid signature of any domain is not enough, since
// anyone can sign for a domain of their own.
func (s signatures) verdict(m *tlsrpt.Mail) verdict {
	v := verdict{submitter: submitter(m), reason: "no DKIM signature"}
	if s.err != nil {
		v.reason = "cannot read the DKIM signatures: " + s.err.Error()
	}
	for _, signature := range s.all {
		v.consider(signature)
	}
	v.retry = v.retry && !v.verified
	return v
}

// consider updates the verdict with another signature. The first valid signature of the
// submitter decides. Without one, the reason is that of the last signature.
func (v *verdict) consider(s *dkim.Verification) {
	signer := smtp.FoldDomain(s.Domain)
	bySubmitter := v.submitter == "" || aligned(signer, v.submitter)
	switch {
	case v.verified:
	case s.Err != nil:
		v.retry = v.retry || bySubmitter && dkim.IsTempFail(s.Err)
		if v.signer == "" {
			failure := "is not valid"
			if dkim.IsTempFail(s.Err) {
				failure = "cannot be verified"
			}
			v.reason = fmt.Sprintf("the DKIM signature of %.255q %s: %s", s.Domain, failure, strings.TrimPrefix(s.Err.Error(), "dkim: "))
		}
	case bySubmitter:
		v.verified, v.signer, v.submitter = true, signer, cmp.Or(v.submitter, signer)
		v.reason = "signed by " + signer
	default:
		v.signer = signer
		v.reason = fmt.Sprintf("signed by %s, not by %s", signer, v.submitter)
	}
}

// submitter returns the domain that the message claims to come from: the header field
// takes precedence over the file name.
func submitter(m *tlsrpt.Mail) string {
	return smtp.FoldDomain(cmp.Or(strings.TrimSpace(m.Submitter), m.Name.Submitter))
}

// aligned reports whether signer and submitter have the same organizational domain, as in
// DMARC's relaxed alignment (RFC 7489, Section 3.1.1). Providers sign reports of
// mail.example.com as example.com, and vice versa.
func aligned(signer, submitter string) bool {
	a, errA := publicsuffix.EffectiveTLDPlusOne(signer)
	b, errB := publicsuffix.EffectiveTLDPlusOne(submitter)
	return errA == nil && errB == nil && a == b
}

// A keyLookup looks up the TXT records of DKIM keys (RFC 6376, Section 3.6.2).
type keyLookup func(ctx context.Context, name string) ([]string, error)

// newKeyLookup returns a keyLookup that queries a DNS server, or the system's if server is
// empty.
func newKeyLookup(server string) keyLookup {
	if server == "" {
		return net.DefaultResolver.LookupTXT
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	return func(ctx context.Context, name string) ([]string, error) {
		records, err := resolver.LookupTXT(ctx, name)
		var dns *net.DNSError
		if errors.As(err, &dns) {
			dns.Server = server // package net names the system's, which was not queried
		}
		return records, err
	}
}

// offline is a keyLookup that makes no queries.
func offline(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "offline", Name: name, IsTemporary: true}
}

// keyTimeout bounds one lookup.
const keyTimeout = 10 * time.Second

// forReports looks up a key for TLS reports. It returns the error of the lookup as it is,
// since go-msgauth checks its type.
func (k keyLookup) forReports(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	records, err := k(ctx, name)
	if err != nil || len(records) != 1 {
		return records, err
	}
	record, err := keyForReports(records[0])
	return []string{record}, err
}

var errTestingKey = errors.New("the key is for testing only (t=y)")

// keyForReports checks that a key record is for TLS reports and returns it in a form that
// go-msgauth accepts, which knows no service type but email.
//
// A key without a service type is for all services (RFC 6376, Section 3.6.1). RFC 8460,
// Section 3 allows recipients to ignore reports that were signed with a key for others.
func keyForReports(record string) (string, error) {
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
			if slices.Contains(values, "y") { // RFC 6376: treat the message as unsigned
				return "", errTestingKey
			}
			kept = append(kept, tag)
		default:
			kept = append(kept, tag)
		}
	}
	return strings.Join(kept, ";"), nil
}
