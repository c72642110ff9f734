package mtasts

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

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
