// Package dkim verifies DKIM signatures (RFC 6376, RFC 8301, RFC 8463) as of the time at which
// a message was received.
//
// A signature may expire, and a verifier compares that with the time of receipt: the message
// may be verified much later, as when a mailbox of old messages is read. That is why Postern has
// this package: other verifiers compare it with the present time.
//
//	verifier := dkim.Verifier{LookupTXT: net.DefaultResolver.LookupTXT, Service: "tlsrpt"}
//	for _, signature := range verifier.Verify(ctx, message, received) {
//		if signature.Err == nil {
//			// signature.Domain takes responsibility for the message
//		}
//	}
//
// # Strictness
//
// A signature over a part of the body (l=) and one with SHA-1 is not valid. A key that is for
// testing only is none, and neither is one for another service than [Verifier.Service].
//
// # Limits
//
// The message is in memory. A header of more than 64 KiB or 1,000 lines is an error. Of the
// signatures the first [MaxSignatures] are verified, each with one DNS query. The body is hashed
// once for each canonicalization, and RSA keys have at most 4,096 bits.
package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxSignatures bounds the signatures that are verified. Genuine messages have up to three.
const MaxSignatures = 5

// Errors of a signature that may be valid all the same. Test for them with [errors.Is].
var (
	ErrTemporary = errors.New("cannot look up the key") // now
	ErrNoKey     = errors.New("no key is published")    // there never was one, or it was removed
)

// A Verifier verifies signatures.
type Verifier struct {
	// LookupTXT returns the TXT records of a name, the strings of each record joined, as
	// [net.Resolver.LookupTXT] does.
	LookupTXT func(ctx context.Context, name string) ([]string, error)

	// Service is the service type that a key has to be for, such as "email" or "tlsrpt" (RFC
	// 6376, Section 3.6.1).
	Service string
}

// A Signature is the result for one signature of a message.
type Signature struct {
	Domain  string    // who signed, d=
	Expires time.Time // x=; zero if it does not expire
	Err     error     // nil if the signature is valid
}

// Verify verifies the signatures of a message that was received at a time. It returns them in
// the order of the header. Lines may end in LF, as in a mailbox. It calls LookupTXT for
// several signatures at once.
func (v Verifier) Verify(ctx context.Context, message []byte, received time.Time) []Signature {
	header, text, err := split(message)
	if err != nil {
		return []Signature{{Err: err}}
	}
	body := newBodyHashes(text)
	var fields []field
	for _, f := range header {
		if f.is("DKIM-Signature") && len(fields) < MaxSignatures {
			fields = append(fields, f)
		}
	}
	all := make([]Signature, len(fields))
	var verifications sync.WaitGroup // at once, since each waits for DNS
	for i, f := range fields {
		verifications.Go(func() {
			defer func() { // a bug here must not stop the server
				if cause := recover(); cause != nil {
					all[i] = Signature{Err: fmt.Errorf("panic: %v", cause)}
				}
			}()
			s, err := parseSignature(f)
			if err == nil {
				err = v.verify(ctx, s, header, body, received)
			}
			all[i] = Signature{s.domain, s.expires, err}
		})
	}
	verifications.Wait()
	return all
}

// verify follows RFC 6376, Section 6.1.
func (v Verifier) verify(ctx context.Context, s signature, header []field, body bodyHashes, received time.Time) error {
	if !s.expires.IsZero() && received.After(s.expires) {
		return fmt.Errorf("it expired at %s, and the message was received at %s", formatTime(s.expires), formatTime(received))
	}
	k, err := v.key(ctx, s)
	if err != nil {
		return err
	}
	if sum := body.of(s); !bytes.Equal(sum, s.hash) {
		return errors.New("the body was changed: its hash differs")
	}
	if !k.verifies(s.headerHash(header), s.signed) {
		return errors.New("the header was changed, or another key signed it")
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// key looks up the key of a signature (RFC 6376, Section 6.1.2).
func (v Verifier) key(ctx context.Context, s signature) (key, error) {
	records, err := v.LookupTXT(ctx, s.selector+"._domainkey."+s.domain)
	var dns *net.DNSError
	isDNS := errors.As(err, &dns)
	switch {
	case isDNS && dns.IsNotFound, err == nil && len(records) == 0:
		return key{}, ErrNoKey
	case isDNS && (dns.IsTemporary || dns.IsTimeout):
		return key{}, fmt.Errorf("%w: %w", ErrTemporary, err)
	case err != nil:
		return key{}, fmt.Errorf("looking up the key: %w", err)
	case len(records) > 1:
		return key{}, errors.New("more than one key record is published") // undefined, Section 3.6.2.2
	}
	k, err := parseKey(records[0])
	if err != nil {
		return key{}, fmt.Errorf("key record: %w", err)
	}
	return k, k.check(s, v.Service)
}

// A field is a header field with its line ends as CRLF, without the last one.
type field string

func (f field) is(name string) bool { return strings.EqualFold(f.name(), name) }

func (f field) name() string {
	name, _, _ := strings.Cut(string(f), ":")
	return strings.Trim(name, " \t")
}

func (f field) value() string {
	_, value, _ := strings.Cut(string(f), ":")
	return value
}

// Bounds of a header in bytes, with CRLF, and in lines. Those of genuine messages have up to 20 KiB.
const (
	maxHeader      = 64 << 10
	maxHeaderLines = 1000
)

var errHeaderTooLarge = fmt.Errorf("the header has more than %d KiB or %d lines", maxHeader>>10, maxHeaderLines)

// split returns the header and the body of a message, all lines with CRLF.
func split(message []byte) (header []field, body []byte, err error) {
	message = withCRLF(message)
	if body, empty := bytes.CutPrefix(message, []byte("\r\n")); empty {
		return nil, body, nil
	}
	rest, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	if len(rest) > maxHeader || bytes.Count(rest, []byte("\r\n")) >= maxHeaderLines {
		return nil, nil, errHeaderTooLarge
	}
	for len(rest) > 0 {
		line, next, _ := bytes.Cut(rest, []byte("\r\n"))
		end := len(line)
		for len(next) > 0 && (next[0] == ' ' || next[0] == '\t') {
			line, next, _ = bytes.Cut(next, []byte("\r\n"))
			end += len("\r\n") + len(line)
		}
		header = append(header, field(rest[:end]))
		rest = next
	}
	return header, body, nil
}

// withCRLF returns a text with CRLF in place of each LF without a CR before it.
func withCRLF(text []byte) []byte {
	if bytes.Count(text, []byte("\n")) == bytes.Count(text, []byte("\r\n")) {
		return text
	}
	fixed := make([]byte, 0, len(text)+bytes.Count(text, []byte("\n")))
	for i, b := range text {
		if b == '\n' && (i == 0 || text[i-1] != '\r') {
			fixed = append(fixed, '\r')
		}
		fixed = append(fixed, b)
	}
	return fixed
}

// A tag is a tag of a signature or of a key record (RFC 6376, Section 3.2).
type tag struct{ name, value string }

// parseTags parses a tag list.
func parseTags(list string) (tags []tag, err error) {
	for spec := range strings.SplitSeq(list, ";") {
		name, value, ok := strings.Cut(spec, "=")
		name = strings.Trim(name, whitespace)
		switch {
		case !ok && name == "":
			continue // after the last semicolon
		case !ok || name == "":
			return nil, fmt.Errorf("malformed tag %.40q", spec)
		case slices.ContainsFunc(tags, func(t tag) bool { return t.name == name }):
			return nil, fmt.Errorf("tag %.40q is repeated", name)
		case len(tags) == maxTags:
			return nil, fmt.Errorf("more than %d tags", maxTags)
		}
		tags = append(tags, tag{name, strings.Trim(value, whitespace)})
	}
	return tags, nil
}

const (
	whitespace = " \t\r\n"
	maxTags    = 100
)

// values splits a value at colons.
func values(value string) []string {
	all := strings.Split(value, ":")
	for i := range all {
		all[i] = strings.Trim(all[i], whitespace)
	}
	return all
}

// unfold removes all whitespace.
func unfold(value string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(whitespace, r) {
			return -1
		}
		return r
	}, value)
}
