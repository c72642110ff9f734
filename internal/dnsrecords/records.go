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
	next, ok := w.Next.(interface{ Equal(crypto.PublicKey) bool })
	for _, key := range w.Keys {
		if ok && next.Equal(key) {
			return true
		}
	}
	return false
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
