// Package dnsrecords makes the DNS records that mail for a domain requires, compares
// published records with them, and finds the next step of a key rollover.
//
//	config := dnsrecords.Config{Domain: "example.org", Host: "mx.example.org", Keys: keys}
//	records, err := config.Records()
//	comparison, err := config.Compare(ctx, lookup, firstSeen, time.Now())
//
// # Concurrency
//
// Functions and methods are safe for concurrent use, provided that nothing modifies the
// values meanwhile.
package dnsrecords

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"postern/mtasts"
	"postern/tlsrpt"
)

// A Config describes the mail service of a domain, as far as DNS is concerned. Names are
// in ASCII, without a final dot.
type Config struct {
	Domain string
	Host   string         // of the MX record
	Policy *mtasts.Policy // nil: none is served
	Report string         // the URI for TLS reports
	Issuer string         // the certification authority's name in CAA records; empty: unknown

	// Keys are the public keys of the certificates that Host presents, of the types of
	// crypto/x509.
	Keys []crypto.PublicKey

	// Next is the key of the next certificate, nil if none is prepared.
	Next crypto.PublicKey
}

// A Record is a DNS record to publish.
type Record struct {
	Name    string `json:"name"`           // with a final dot
	Type    string `json:"type"`           // "TLSA"
	Data    string `json:"data"`           // as in a zone file
	Note    string `json:"note,omitempty"` // its purpose, in a few words
	without string // what it is like without the record; empty if mail requires it
}

// ttl is the TTL of the printed records: a key rollover waits as long.
const ttl = "3600"

// String returns the record as a line of a zone file (RFC 1035, Section 5).
func (r Record) String() string { return r.Name + "\t" + ttl + "\tIN\t" + r.Type + "\t" + r.Data }

// Records returns the required records, in the order of a zone file for people.
func (c Config) Records() ([]Record, error) {
	records := []Record{c.mx()}
	if c.Policy != nil {
		policy, err := c.policyRecord()
		if err != nil {
			return nil, err
		}
		records = append(records, policy, c.policyHost())
	}
	reports, err := c.reportRecords()
	if err != nil {
		return nil, err
	}
	records = append(records, reports...)
	keys, err := c.tlsa()
	if err != nil {
		return nil, err
	}
	records = append(records, keys...)
	if c.Issuer != "" {
		records = append(records, Record{c.Host + ".", "CAA", fmt.Sprintf("0 issue %q", c.Issuer), "only this authority may issue certificates for the host",
			"any authority may issue certificates for the host"})
	}
	return records, nil
}

func (c Config) mx() Record {
	return Record{c.Domain + ".", "MX", "10 " + c.Host + ".", "host that receives the domain's mail", ""}
}

// policyRecord announces the MTA-STS policy. Its id is a hash of the policy, so that it
// changes with the policy only (RFC 8461, Section 3.1).
func (c Config) policyRecord() (Record, error) {
	text, err := c.Policy.MarshalText()
	if err != nil {
		return Record{}, fmt.Errorf("dnsrecords: %w", err)
	}
	sum := sha256.Sum256(text)
	record := mtasts.Record{ID: hex.EncodeToString(sum[:10])}
	return Record{"_mta-sts." + c.Domain + ".", "TXT", quoted(record.String()), "MTA-STS, mode " + string(c.Policy.Mode) + "; the id changes with the policy", ""}, nil
}

// policyHost points to the host that serves the policy. An alias needs no address here.
func (c Config) policyHost() Record {
	return Record{"mta-sts." + c.Domain + ".", "CNAME", c.Host + ".", "host that serves the MTA-STS policy; or A and AAAA records of the web listener", ""}
}

// reportRecords ask for TLS reports. The policy domain of DANE is the host (RFC 8460, Section
// 1.1), where some senders look for the address, as mox does.
func (c Config) reportRecords() ([]Record, error) {
	text, err := (&tlsrpt.Record{RUA: []string{c.Report}}).MarshalText()
	if err != nil {
		return nil, fmt.Errorf("dnsrecords: %w", err)
	}
	records := []Record{{"_smtp._tls." + c.Domain + ".", "TXT", quoted(string(text)), "address for TLS reports", ""}}
	if c.Host != c.Domain && (len(c.Keys) > 0 || c.nextPending()) {
		records = append(records, Record{"_smtp._tls." + c.Host + ".", "TXT", quoted(string(text)), "address for TLS reports about DANE, for senders that ask the host's name",
			"senders that look there send no reports about DANE"})
	}
	return records, nil
}

// tlsa returns the TLSA records of the keys: 3 1 1, the hash of the public key, which
// stays valid when a renewal keeps the key (RFC 7671, Section 5.1).
func (c Config) tlsa() ([]Record, error) {
	var records []Record
	add := func(key crypto.PublicKey, note string) error {
		data, err := tlsaData(key)
		records = append(records, Record{c.tlsaName(), "TLSA", data, note, ""})
		return err
	}
	for _, key := range c.Keys {
		if err := add(key, "DANE, key in use"); err != nil {
			return nil, err
		}
	}
	if c.nextPending() {
		if err := add(c.Next, "DANE, next key"); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (c Config) tlsaName() string { return "_25._tcp." + c.Host + "." }

// nextPending reports whether a next key is prepared and not in use yet.
func (c Config) nextPending() bool { return c.Next != nil && !contains(c.Keys, c.Next) }

func contains(keys []crypto.PublicKey, key crypto.PublicKey) bool {
	public, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && slices.ContainsFunc(keys, public.Equal)
}

// tlsaData is the data of a record 3 1 1 (RFC 6698, Section 2.1).
func tlsaData(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("dnsrecords: encoding public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return "3 1 1 " + hex.EncodeToString(sum[:]), nil
}

// quoted returns text as the strings of a TXT record, at most 255 bytes each.
func quoted(text string) string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, fmt.Sprintf("%q", text[:255])), text[255:]
	}
	return strings.Join(append(parts, fmt.Sprintf("%q", text)), " ")
}
