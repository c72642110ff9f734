package mtasts

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// fetchTimeout is the timeout that RFC 8461, Section 3.3 suggests.
const fetchTimeout = time.Minute

// Fetch fetches the policy of a domain as a sender does, RFC 8461, Section 3.3: from
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with status 200 and type text/plain,
// within a minute and at most [MaxPolicySize] bytes. It does not follow redirects, and
// neither sends nor keeps cookies. The domain may be in Unicode.
//
// The client's Transport verifies the certificate and chooses how to connect; its Timeout
// applies too.
//
// A document that is not a policy gives an error that wraps [ErrSyntax], a certificate that
// does not verify one that wraps [*crypto/tls.CertificateVerificationError].
func Fetch(ctx context.Context, client *http.Client, domain string) (*Policy, error) {
	name, err := canonicalName(domain)
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

// get returns one byte more than a policy may have if there is more.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err // never: every domain is the host of a URL
	}
	noCookies := http.Client{Transport: client.Transport, Timeout: client.Timeout, CheckRedirect: noRedirect}
	response, err := noCookies.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %s, not 200", url, quoted(response.Status))
	}
	contentType := response.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "text/plain" {
		return nil, fmt.Errorf("%s: content type %s, not text/plain", url, quoted(contentType))
	}
	return io.ReadAll(io.LimitReader(response.Body, MaxPolicySize+1))
}

// noRedirect returns the redirect itself, whose status get refuses.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
