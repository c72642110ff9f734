// Package dkim verifies DKIM signatures (RFC 6376, RFC 8301, RFC 8463) as of the time at which
// a message was received.
//
// A signature may expire, and a verifier compares that with the time of receipt: the message
// may be verified much later, as when a mailbox of old messages is read. That is why Postern has
// this package: other verifiers compare it with the present time.
//
//	verifier := dkim.Verifier{LookupTXT: net.DefaultResolver.LookupTXT, Service: "tlsrpt"}
//	for _, signature := range verifier.LookUpKeys(ctx, message, received).Verify() {
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
// The message is in memory. A header of more than 64 KiB or 1,000 lines is an error, and so is a
// body of more than 500,000 lines. Of the signatures the first [MaxSignatures] are verified, each
// with one DNS query. The body is hashed once for each canonicalization, and RSA keys have at most
// 4,096 bits. Looking up the keys waits for DNS and takes little processor time; verifying waits
// for nothing.
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

// A Message is a message whose keys were looked up.
type Message struct {
	header     []field
	body       []byte
	signatures []signature
	err        error // it exceeds a limit
}

// LookUpKeys reads the signatures of a message that was received at a time, and looks up their
// keys, several at once. Lines may end in LF, as in a mailbox. The message must not change
// until it is verified.
func (v Verifier) LookUpKeys(ctx context.Context, message []byte, received time.Time) Message {
	header, body, err := split(message)
	if err != nil {
		return Message{err: err}
	}
	if bytes.Count(body, []byte("\n")) > maxBodyLines {
		return Message{err: errTooManyLines}
	}
	m := Message{header: header, body: body}
	for _, f := range header {
		if f.is("DKIM-Signature") && len(m.signatures) < MaxSignatures {
			m.signatures = append(m.signatures, signature{field: f})
		}
	}
	var lookups sync.WaitGroup
	for i := range m.signatures {
		s := &m.signatures[i]
		lookups.Go(func() {
			s.guard(func() error {
				if err := s.parse(); err != nil {
					return err
				}
				return v.prepare(ctx, s, received)
			})
		})
	}
	lookups.Wait()
	return m
}

// Verify verifies the signatures, and returns them in the order of the header.
func (m Message) Verify() []Signature {
	if m.err != nil {
		return []Signature{{Err: m.err}}
	}
	body := newBodyHashes(m.body)
	all := make([]Signature, len(m.signatures))
	for i := range m.signatures {
		s := &m.signatures[i]
		if s.err == nil {
			s.guard(func() error { return s.verify(m.header, body) })
		}
		all[i] = Signature{s.domain, s.expires, s.err}
	}
	return all
}

// guard keeps the error of do. A bug here must not stop the server.
func (s *signature) guard(do func() error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.err = fmt.Errorf("panic: %v", cause)
		}
	}()
	s.err = do()
}

// prepare follows RFC 6376, Section 6.1.2.
func (v Verifier) prepare(ctx context.Context, s *signature, received time.Time) (err error) {
	if !s.expires.IsZero() && received.After(s.expires) {
		return fmt.Errorf("it expired at %s, and the message was received at %s", formatTime(s.expires), formatTime(received))
	}
	s.key, err = v.key(ctx, s)
	return err
}

// verify follows RFC 6376, Section 6.1.3.
func (s *signature) verify(header []field, body bodyHashes) error {
	if sum := body.of(s); !bytes.Equal(sum, s.hash) {
		return errors.New("the body was changed: its hash differs")
	}
	if !s.key.verifies(s.headerHash(header), s.signed) {
		return errors.New("the header was changed, or another key signed it")
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// key looks up the key of a signature.
func (v Verifier) key(ctx context.Context, s *signature) (key, error) {
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

// maxBodyLines bounds the lines of a body, since each costs as much as some 30 bytes. A report of 12
// MiB in base64 has 165,000.
const maxBodyLines = 500_000

var (
	errHeaderTooLarge = fmt.Errorf("the header has more than %d KiB or %d lines", maxHeader>>10, maxHeaderLines)
	errTooManyLines   = fmt.Errorf("the body has more than %d lines", maxBodyLines)
)

// split returns the header and the body of a message. It reads no more than the header.
func split(message []byte) (header []field, body []byte, err error) {
	var text []byte // the header with CRLF
	var starts []int
	for lines := 1; len(message) > 0; lines++ {
		line, rest := cutLine(message)
		if message = rest; len(line) == 0 {
			break
		}
		if lines > maxHeaderLines || len(text)+len(line) > maxHeader {
			return nil, nil, errHeaderTooLarge
		}
		if line[0] != ' ' && line[0] != '\t' || lines == 1 {
			starts = append(starts, len(text))
		}
		text = append(append(text, line...), "\r\n"...)
	}
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		header = append(header, field(text[start:end-len("\r\n")]))
	}
	return header, message, nil
}

// cutLine cuts a text after its first line, and returns the line without the CRLF or LF at its
// end.
func cutLine(text []byte) (line, rest []byte) {
	line, rest, ended := bytes.Cut(text, []byte("\n"))
	if ended {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	return line, rest
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
