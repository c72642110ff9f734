// Package dnssec validates DNS answers from a trust anchor down, without having to
// trust the resolver that they came from.
//
//	v := dnssec.New(ask, dnssec.RootAnchors())
//	status, err := v.Validate(ctx, "_25._tcp.mx.example.org", dns.TypeTLSA, answer)
//
// Of an answer it says whether it is [Secure], [Insecure] or [Bogus] (RFC 4035, Section
// 4.3), and of one that is bogus why. It asks for the DS and DNSKEY records on the way,
// and knows the proofs that something is not there, by NSEC (RFC 4035, Section 5.4) and
// NSEC3 (RFC 5155, Section 8).
//
// # Limits
//
// A [Validator] asks at most 128 questions and verifies at most 256 signatures
// (CVE-2023-50387). NSEC3 with more than 150 iterations counts as insecure (RFC 9276,
// Section 3.2). Signatures and digests that miekg/dns does not know make a zone
// insecure, as RFC 4035, Section 5.2 wants. The root's keys are not followed when they
// change (RFC 5011): the program has to be newer than its anchors.
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

// A Status is what validation says of an answer.
type Status uint8

// The statuses.
const (
	Indeterminate Status = iota // it could not be told: a question was not answered
	Bogus                       // there is a chain of trust, and the answer does not fit it
	Insecure                    // it is proved that there is no chain of trust
	Secure
)

// String returns the status in one word, "secure".
func (s Status) String() string {
	return [...]string{"indeterminate", "bogus", "insecure", "secure"}[min(s, Secure)]
}

// Bounds of one Validator: a zone costs two questions, and a provider's domain has about
// thirty hosts.
const (
	maxQuestions  = 128
	maxSignatures = 256
)

var errTooMuch = errors.New("it takes too many questions or signatures")

// An Ask asks a resolver, with the bits DO and CD set so that it hands out what it
// takes for bogus, too. A name that does not exist is an answer, not an error.
type Ask func(ctx context.Context, name string, kind uint16) (*dns.Msg, error)

// A Validator validates answers, and remembers the zones that it has met.
type Validator struct {
	ask     Ask
	anchors []*dns.DS

	cuts                  map[string]cut
	zones                 map[string]zone
	questions, signatures int
}

// New returns a Validator that asks and that trusts the anchors, which are DS records
// of the root.
func New(ask Ask, anchors []*dns.DS) *Validator {
	return &Validator{ask: ask, anchors: anchors, cuts: make(map[string]cut), zones: make(map[string]zone)}
}

// Validate validates the answer to a question for records of a kind. Aliases in the
// answer are followed; one that holds nothing of the kind has to prove that.
//
// The error says why an answer is [Bogus] or [Indeterminate], and is nil else.
func (v *Validator) Validate(ctx context.Context, name string, kind uint16, answer *dns.Msg) (Status, error) {
	status, err := v.follow(ctx, dns.CanonicalName(name), kind, answer)
	if err != nil {
		err = fmt.Errorf("dnssec: %w", err)
	}
	return status, err
}

// follow validates the set that was asked for, or the aliases on the way to it.
func (v *Validator) follow(ctx context.Context, name string, kind uint16, answer *dns.Msg) (Status, error) {
	status := Secure
	for range maxAliases {
		set := find(answer.Answer, name, kind)
		if len(set.records) == 0 {
			set = find(answer.Answer, name, dns.TypeCNAME)
		}
		if len(set.records) == 0 {
			s, err := v.denied(ctx, name, kind, answer)
			return min(status, s), err
		}
		s, err := v.present(ctx, set, answer)
		if status = min(status, s); err != nil {
			return status, err
		}
		alias, ok := set.records[0].(*dns.CNAME)
		if !ok || kind == dns.TypeCNAME {
			return status, nil
		}
		name = dns.CanonicalName(alias.Target)
	}
	return Bogus, fmt.Errorf("more than %d aliases", maxAliases)
}

// maxAliases bounds a chain of CNAME records.
const maxAliases = 8

// present validates records that are there.
func (v *Validator) present(ctx context.Context, s set, answer *dns.Msg) (Status, error) {
	if len(s.signatures) == 0 {
		if from := redirection(s, answer); len(from.records) > 0 {
			s = from
		}
	}
	if len(s.signatures) == 0 {
		return v.unsigned(ctx, s.name)
	}
	sig, status, err := v.signed(ctx, s)
	if err == nil && status == Secure && int(sig.Labels) < labels(s.name) {
		return v.expanded(ctx, s.name, sig, answer)
	}
	return status, err
}

// redirection is the DNAME record that an alias without a signature was made from (RFC
// 6672, Section 5.3.1), or nothing.
func redirection(s set, answer *dns.Msg) set {
	alias, ok := s.records[0].(*dns.CNAME)
	if !ok {
		return set{}
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
	return set{}
}

func (v *Validator) question(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	if v.questions++; v.questions > maxQuestions {
		return nil, errTooMuch
	}
	answer, err := v.ask(ctx, name, kind)
	if err != nil {
		return nil, fmt.Errorf("%s records of %s: %w", dns.TypeToString[kind], name, err)
	}
	return answer, nil
}
