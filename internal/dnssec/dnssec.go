// Package dnssec validates DNS answers by a chain of trust from a trust anchor, so that the
// resolver need not be trusted.
//
//	v := dnssec.New(query, dnssec.RootAnchors())
//	status, err := v.Validate(ctx, "_25._tcp.mx.example.org", dns.TypeTLSA, answer)
//
// An answer is [Secure], [Insecure] or [Bogus] (RFC 4035, Section 4.3). The validator queries
// for the DS and DNSKEY records of the chain, and checks denial of existence by NSEC (RFC
// 4035, Section 5.4) and NSEC3 (RFC 5155, Section 8).
//
// # Limits
//
// A [Validator] makes at most 256 queries, verifies at most 256 signatures and computes at most
// 256 digests of keys (CVE-2023-50387). NSEC3 with more than 150 iterations counts as insecure (RFC 9276,
// Section 3.2). A zone whose signature or digest algorithms miekg/dns does not support is
// insecure, as RFC 4035, Section 5.2 requires. Changes of the root keys are not followed (RFC
// 5011): they need a new version of this program, or [ReadAnchors].
//
// # Concurrency
//
// A Validator is for one goroutine at a time.
package dnssec

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// A Status is the result of validation.
type Status uint8

// The statuses.
const (
	Indeterminate Status = iota // a query was not answered
	Bogus                       // there is a chain of trust, and the answer fails validation
	Insecure                    // proved: there is no chain of trust
	Secure                      // validated
)

// String returns the status in one word, "secure".
func (s Status) String() string {
	return [...]string{"indeterminate", "bogus", "insecure", "secure"}[min(s, Secure)]
}

// Limits of one Validator. A zone takes two queries and a host with a TLSA record three, and a
// provider's domain has about thirty hosts.
const (
	maxQueries    = 256
	maxSignatures = 256
	maxDigests    = 256 // of keys, to compare them with DS records
)

var errLimit = errors.New("too many queries, signatures or keys")

// A Query queries a resolver, with the bits DO and CD set so that it also returns answers that
// it considers bogus. A name that does not exist is an answer, not an error.
type Query func(ctx context.Context, name string, rrtype uint16) (*dns.Msg, error)

// A Validator validates answers, and caches the zones of the chain of trust.
type Validator struct {
	query   Query
	anchors []*dns.DS

	cuts                map[string]cut
	zones               map[string]zone
	queries, signatures int
	digests             int
}

// New returns a Validator that trusts the anchors, DS records of the root.
func New(query Query, anchors []*dns.DS) *Validator {
	return &Validator{query: query, anchors: anchors, cuts: make(map[string]cut), zones: make(map[string]zone)}
}

// Validate validates the answer to a query. It follows aliases in the answer. An answer
// without records of the type must prove that there are none.
//
// The error is why an answer is [Bogus] or [Indeterminate], otherwise nil.
func (v *Validator) Validate(ctx context.Context, name string, rrtype uint16, answer *dns.Msg) (Status, error) {
	status, err := v.validate(ctx, dns.CanonicalName(name), rrtype, answer)
	if err != nil {
		err = fmt.Errorf("dnssec: %w", err)
	}
	return status, err
}

// validate validates the RRset of the query, and the aliases that lead to it.
func (v *Validator) validate(ctx context.Context, name string, rrtype uint16, answer *dns.Msg) (Status, error) {
	status := Secure
	for range maxAliases + 1 {
		set := find(answer.Answer, name, rrtype)
		if len(set.records) == 0 {
			set = find(answer.Answer, name, dns.TypeCNAME)
		}
		if len(set.records) == 0 {
			s, err := v.validateDenial(ctx, name, rrtype, answer)
			return min(status, s), err
		}
		s, err := v.validatePositive(ctx, set, answer)
		if status = min(status, s); err != nil {
			return status, err
		}
		alias, ok := set.records[0].(*dns.CNAME)
		if !ok || rrtype == dns.TypeCNAME {
			return status, nil
		}
		name = dns.CanonicalName(alias.Target)
	}
	return Bogus, fmt.Errorf("more than %d aliases", maxAliases)
}

// maxAliases bounds a chain of CNAME records.
const maxAliases = 8

// validatePositive validates an RRset of an answer.
func (v *Validator) validatePositive(ctx context.Context, s rrset, answer *dns.Msg) (Status, error) {
	if len(s.signatures) == 0 {
		if from := dnameOf(s, answer); len(from.records) > 0 {
			s = from
		}
	}
	if len(s.signatures) == 0 {
		return v.validateUnsigned(ctx, s.name)
	}
	sig, status, err := v.signed(ctx, s)
	if status != Secure {
		return status, err
	}
	if int(sig.Labels) < labels(s.name) {
		if status, err := v.validateWildcard(ctx, s.name, sig, answer); status != Secure {
			return status, err
		}
	}
	name := ancestor(s.name, int(sig.Labels))
	if s.rrtype == dns.TypeCNAME && name == s.name {
		name = parent(name)
	}
	return v.validateSigner(ctx, s, sig, name)
}

// dnameOf returns the DNAME record that an unsigned alias was synthesised from (RFC 6672,
// Section 5.3.1), or nothing.
func dnameOf(s rrset, answer *dns.Msg) rrset {
	alias, ok := s.records[0].(*dns.CNAME)
	if !ok {
		return rrset{}
	}
	for _, record := range answer.Answer {
		dname, ok := record.(*dns.DNAME)
		if !ok || !below(s.name, dns.CanonicalName(dname.Hdr.Name)) {
			continue
		}
		prefix := s.name[:len(s.name)-len(dname.Hdr.Name)]
		if dns.CanonicalName(prefix+dname.Target) == dns.CanonicalName(alias.Target) {
			return find(answer.Answer, dns.CanonicalName(dname.Hdr.Name), dns.TypeDNAME)
		}
	}
	return rrset{}
}

func (v *Validator) lookUp(ctx context.Context, name string, rrtype uint16) (*dns.Msg, error) {
	if v.queries++; v.queries > maxQueries {
		return nil, errLimit
	}
	answer, err := v.query(ctx, name, rrtype)
	if err != nil {
		return nil, fmt.Errorf("%s records of %s: %w", dns.TypeToString[rrtype], name, err)
	}
	return answer, nil
}
