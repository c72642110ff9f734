package tlsrptin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

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
