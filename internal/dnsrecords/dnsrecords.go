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
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"postern/mtasts"
	"postern/tlsrpt"
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

// Records are all that are wanted, in the order of a zone file for people.
func (w Wants) Records() ([]Record, error) {
	records := []Record{w.mx()}
	if w.Policy != nil {
		policy, err := w.policy()
		if err != nil {
			return nil, err
		}
		records = append(records, policy, w.policyHost())
	}
	reports, err := w.reports()
	if err != nil {
		return nil, err
	}
	records = append(records, reports)
	keys, err := w.tlsa()
	if err != nil {
		return nil, err
	}
	records = append(records, keys...)
	if w.Issuer != "" {
		records = append(records, Record{w.Host + ".", "CAA", fmt.Sprintf("0 issue %q", w.Issuer), "no other authority may make certificates for the host", true})
	}
	return records, nil
}

func (w Wants) mx() Record {
	return Record{w.Domain + ".", "MX", "10 " + w.Host + ".", "where mail goes", false}
}

// policy announces the policy. Its id is a hash of that, so that it changes with it and
// with nothing else (RFC 8461, Section 3.1).
func (w Wants) policy() (Record, error) {
	text, err := w.Policy.MarshalText()
	if err != nil {
		return Record{}, fmt.Errorf("zone: %w", err)
	}
	sum := sha256.Sum256(text)
	record := mtasts.Record{ID: hex.EncodeToString(sum[:10])}
	return Record{"_mta-sts." + w.Domain + ".", "TXT", quoted(record.String()), "mode " + string(w.Policy.Mode) + "; the id follows the policy", false}, nil
}

// policyHost leads to whoever serves the policy. An alias needs no address here.
func (w Wants) policyHost() Record {
	return Record{"mta-sts." + w.Domain + ".", "CNAME", w.Host + ".", "or A and AAAA records of the web listener", false}
}

func (w Wants) reports() (Record, error) {
	text, err := (&tlsrpt.Record{RUA: []string{w.Report}}).MarshalText()
	if err != nil {
		return Record{}, fmt.Errorf("zone: %w", err)
	}
	return Record{"_smtp._tls." + w.Domain + ".", "TXT", quoted(string(text)), "where senders report TLS failures to", false}, nil
}

// tlsa are the records of the keys: 3 1 1, the hash of the public key, which outlives
// renewals that keep the key (RFC 7671, Section 5.1).
func (w Wants) tlsa() ([]Record, error) {
	var records []Record
	for _, key := range w.all() {
		data, err := association(key.public)
		if err != nil {
			return nil, err
		}
		records = append(records, Record{w.tlsaName() + ".", "TLSA", "3 1 1 " + data, key.note, false})
	}
	return records, nil
}

func (w Wants) tlsaName() string { return "_25._tcp." + w.Host }

// A noted key is one with what it is.
type notedKey struct {
	public crypto.PublicKey
	note   string
}

// all are the keys in use, and the next.
func (w Wants) all() []notedKey {
	var keys []notedKey
	for _, key := range w.Keys {
		keys = append(keys, notedKey{key, "the key in use"})
	}
	if w.Next != nil && !w.switched() {
		keys = append(keys, notedKey{w.Next, "the next key"})
	}
	return keys
}

// switched reports whether the next key is in use already.
func (w Wants) switched() bool {
	return contains(w.Keys, w.Next)
}

// association is the data of a record 3 1 1 (RFC 6698, Section 2.1).
func association(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("zone: encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// quoted is text as strings of a TXT record: 255 bytes each, at most.
func quoted(text string) string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, fmt.Sprintf("%q", text[:255])), text[255:]
	}
	return strings.Join(append(parts, fmt.Sprintf("%q", text)), " ")
}
