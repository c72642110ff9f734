// Package mtasts reads, writes and applies the two halves of MTA-STS, RFC 8461, for the
// domain that receives: the TXT record that announces a policy, and the policy itself.
//
//	policy, err := mtasts.Fetch(ctx, client, "example.com")
//	if err == nil && !policy.Matches("mx.example.com") {
//		// senders that honour the policy do not deliver there
//	}
//
// # Strictness
//
// What is read is held to the grammar of the RFC, so that a policy which passes here passes with
// the strictest of senders. Fields that the RFC does not know are kept and otherwise ignored; of
// a field that stands twice the first counts (Section 3.2).
//
// # Limits
//
// A policy has at most [MaxPolicySize] bytes. Nothing is cached: keeping a policy for its
// max_age is what a sender does.
//
// # Concurrency
//
// All functions are safe for concurrent use, as long as nobody changes the values meanwhile.
package mtasts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"postern/internal/txtrecord"
)

// ErrSyntax is in the chain of every error about a record or a policy that can be had but is
// not what RFC 8461 says. RFC 8460 calls such a policy sts-policy-invalid.
var ErrSyntax = errors.New("not valid under RFC 8461")

// fetchTimeout is what RFC 8461, Section 3.3 suggests.
const fetchTimeout = time.Minute

// Fetch gets the policy of a domain as a sender does, RFC 8461, Section 3.3: from
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with status 200 and as text/plain, within a minute
// and [MaxPolicySize] bytes. Redirects are not followed, cookies neither sent nor kept.
//
// The client's Transport verifies the certificate and chooses how to connect; its Timeout holds
// too. The domain may be in Unicode.
//
// A policy that can be had but is none gives an error that wraps [ErrSyntax]; a certificate that
// is refused, one that wraps [*crypto/tls.CertificateVerificationError].
func Fetch(ctx context.Context, client *http.Client, domain string) (*Policy, error) {
	name, err := canonical(domain)
	if err != nil {
		return nil, fmt.Errorf("mtasts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	data, err := get(ctx, client, "https://mta-sts."+name+"/.well-known/mta-sts.txt")
	if err != nil {
		return nil, fmt.Errorf("mtasts: fetching policy of %s: %w", name, err)
	}
	return ParsePolicy(data)
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	plain := http.Client{Transport: client.Transport, Timeout: client.Timeout, CheckRedirect: stay}
	response, err := plain.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %.80q, not 200", url, response.Status)
	}
	given := response.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "text/plain" {
		return nil, fmt.Errorf("%s: content type %.80q, not text/plain", url, given)
	}
	return io.ReadAll(io.LimitReader(response.Body, MaxPolicySize+1))
}

// stay keeps the redirect as the answer, which its status then refuses.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// firsts leaves the first of each field, as RFC 8461, Section 3.2 wants it, and all of the
// one that may be repeated.
func firsts(fields []txtrecord.Field, repeated string) []txtrecord.Field {
	seen := make(map[string]bool)
	var kept []txtrecord.Field
	for _, f := range fields {
		if !seen[f.Name] {
			kept = append(kept, f)
		}
		seen[f.Name] = f.Name != repeated
	}
	return kept
}

// distinct refuses extensions that would be read back as something else, or not at all.
func distinct(extensions []txtrecord.Field, known ...string) error {
	seen := make(map[string]bool)
	for _, name := range known {
		seen[name] = true
	}
	for _, f := range extensions {
		if seen[f.Name] {
			return fmt.Errorf("%s stands twice: of a field that does, only the first is read", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
