// Package zone knows the DNS records that mail for a domain wants: it makes them from
// what is served, holds them against what is published, and says which step comes next
// when a key is changed.
//
//	wants := zone.Wants{Domain: "example.org", Host: "mx.example.org", Keys: keys}
//	records, err := wants.Records()
//	check := wants.Check(ctx, lookup, seen, time.Now())
//
// # Concurrency
//
// All functions are safe for concurrent use, as long as nobody changes the values meanwhile.
package dnsrecords

import (
	"crypto"

	"postern/mtasts"
)

// Wants is what is served, as far as DNS has to speak of it. Names are in ASCII, without a
// dot at the end.
type Wants struct {
	Domain string
	Host   string         // of the MX record
	Policy *mtasts.Policy // nil: none is served
	Report string         // the URI that TLS reports go to
	Issuer string         // the authority's name in CAA records; empty: not known

	// Keys are the public keys of the certificates that Host shows, as crypto/x509
	// gives them.
	Keys []crypto.PublicKey

	// Next is the key that comes after one of them; nil: none is prepared.
	Next crypto.PublicKey
}

// A Record is one to publish.
type Record struct {
	Name string // with its dot
	Type string // "TLSA"
	Data string // as in a zone file
	Note string // why, in a few words
	Hint bool   // mail comes in without it
}

// ttl is what the records are printed with: a rollover waits for no longer.
const ttl = "3600"

// String gives the record as a line of a zone file (RFC 1035, Section 5).
func (r Record) String() string { return r.Name + "\t" + ttl + "\tIN\t" + r.Type + "\t" + r.Data }
