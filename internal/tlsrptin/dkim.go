package tlsrptin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"postern/internal/dkim"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// reportService is the service type of keys for TLS reports (RFC 8460, Section 3). A key
// without a type is for all services.
const reportService = "tlsrpt"

// lookUpKeys looks up the keys of a message's signatures, to verify them as of its receipt.
func lookUpKeys(ctx context.Context, keys keyLookup, mail []byte, received receipt) dkim.Message {
	return dkim.Verifier{LookupTXT: keys.within(keyTimeout), Service: reportService}.LookUpKeys(ctx, mail, received.at)
}

// A verdict says whether a report was sent by its submitter.
type verdict struct {
	verified  bool
	signer    string // the domain of a valid signature
	submitter string
	reason    string // for people
	retry     bool   // a key that could change the verdict cannot be looked up now
}

// verdictOn decides whether a report was sent by its submitter: the submitter's domain has to
// sign it (RFC 8460, Section 3). A valid signature of any domain is not enough, since anyone
// can sign for a domain of their own.
func verdictOn(m *tlsrpt.Mail, signatures []dkim.Signature, received receipt) verdict {
	v := verdict{submitter: submitter(m), reason: "no DKIM signature"}
	for _, signature := range signatures {
		v.consider(signature, received)
	}
	v.retry = v.retry && !v.verified
	if len(signatures) > 0 && received.source != "" {
		v.reason += ", judged as of " + received.String()
	}
	return v
}

// consider updates the verdict with another signature. The first valid signature of the
// submitter decides. Without one, the reason is that of the last signature.
func (v *verdict) consider(s dkim.Signature, received receipt) {
	signer := smtp.FoldDomain(s.Domain)
	bySubmitter := v.submitter == "" || aligned(signer, v.submitter)
	switch {
	case v.verified:
	case s.Err != nil:
		v.retry = v.retry || bySubmitter && errors.Is(s.Err, dkim.ErrTemporary)
		if v.signer == "" {
			v.reason = "the DKIM signature " + failureText(s.Err, received)
			if s.Domain != "" {
				v.reason = "the DKIM signature of " + safetext.Quote(s.Domain, maxQuoted) + " " + failureText(s.Err, received)
			}
		}
	case bySubmitter:
		v.verified, v.signer, v.submitter = true, signer, cmp.Or(v.submitter, signer)
		v.reason = "signed by " + signer
	default:
		v.signer = signer
		v.reason = fmt.Sprintf("signed by %s, not by %s", signer, v.submitter)
	}
}

// failureText says why a signature does not verify a report.
func failureText(err error, received receipt) string {
	switch {
	case errors.Is(err, dkim.ErrNoKey) && received.source != "":
		return fmt.Sprintf("cannot be verified: %v, the signer may have removed it since", err)
	case errors.Is(err, dkim.ErrNoKey), errors.Is(err, dkim.ErrTemporary):
		return fmt.Sprintf("cannot be verified: %v", err)
	}
	return fmt.Sprintf("is not valid: %v", err)
}

// submitter returns the domain that the message claims to come from: the header field
// takes precedence over the file name. It may be no domain, but is cut to the length of one.
func submitter(m *tlsrpt.Mail) string {
	return safetext.Truncate(smtp.FoldDomain(cmp.Or(strings.TrimSpace(m.Submitter), m.Name.Submitter)), maxDomain)
}

// maxDomain is the length of the longest domain (RFC 5321, Section 4.5.3.1.2), in bytes.
const maxDomain = 255

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
		return func(ctx context.Context, name string) ([]string, error) {
			return net.DefaultResolver.LookupTXT(ctx, rooted(name))
		}
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	return func(ctx context.Context, name string) ([]string, error) {
		records, err := resolver.LookupTXT(ctx, rooted(name))
		var dns *net.DNSError
		if errors.As(err, &dns) {
			dns.Server = server // package net names the system's, which was not queried
		}
		return records, err
	}
}

// rooted ends a name in a dot, or a name without records would be looked up in the domains that
// the system searches too, and a key of another name be found.
func rooted(name string) string { return strings.TrimSuffix(name, ".") + "." }

// offline is a keyLookup that makes no queries.
func offline(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "offline", Name: name, IsTemporary: true}
}

// keyTimeout bounds one lookup.
const keyTimeout = 10 * time.Second

// within returns a keyLookup with a time limit.
func (k keyLookup) within(limit time.Duration) keyLookup {
	return func(ctx context.Context, name string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return k(ctx, name)
	}
}
