package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A key is a key record (RFC 6376, Section 3.6.1).
type key struct {
	algorithm string // k=
	hashes    []string
	services  []string
	flags     []string
	rsa       *rsa.PublicKey
	ed25519   ed25519.PublicKey
}

func parseKey(record string) (k key, err error) {
	tags, err := parseTags(record)
	if err != nil {
		return k, err
	}
	k.algorithm = "rsa"
	public, given := "", false
	for i, t := range tags {
		switch t.name {
		case "v":
			if t.value != "DKIM1" || i > 0 {
				return k, fmt.Errorf("version %.40q is unknown", t.value)
			}
		case "h":
			k.hashes = values(t.value)
		case "k":
			k.algorithm = t.value
		case "p":
			public, given = unfold(t.value), true
		case "s":
			k.services = values(t.value)
		case "t":
			k.flags = values(t.value)
		}
	}
	switch {
	case !given:
		return k, errors.New("it has no p=")
	case public == "":
		return k, errors.New("the key was revoked")
	}
	data, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		return k, errors.New("p= is not base64")
	}
	return k, k.parsePublic(data)
}

// Bounds of RSA keys in bits, those of RFC 8301, Section 3.2. The upper one limits the work.
const (
	minRSA = 1024
	maxRSA = 4096
)

func (k *key) parsePublic(data []byte) error {
	switch k.algorithm {
	case "ed25519": // RFC 8463, Section 4
		if len(data) != ed25519.PublicKeySize {
			return errors.New("p= is not an Ed25519 key")
		}
		k.ed25519 = data
	case "rsa": // SubjectPublicKeyInfo or, as RFC 6376 also says, RSAPublicKey (erratum 3017)
		public, err := x509.ParsePKIXPublicKey(data)
		if err != nil {
			public, err = x509.ParsePKCS1PublicKey(data)
		}
		var ok bool
		if k.rsa, ok = public.(*rsa.PublicKey); err != nil || !ok {
			return errors.New("p= is not an RSA key")
		}
		if bits := k.rsa.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("RSA key of %d bits, want %d to %d", bits, minRSA, maxRSA)
		}
	default:
		return fmt.Errorf("key type %.40q is unknown", k.algorithm)
	}
	return nil
}

// check checks that the key is for a signature and a service.
func (k key) check(s *signature, service string) error {
	switch {
	case k.algorithm != s.algorithm:
		return fmt.Errorf("the key is of type %s, the signature of type %.40q", k.algorithm, s.algorithm)
	case k.hashes != nil && !slices.Contains(k.hashes, "sha256"):
		return errors.New("the key is not for SHA-256")
	case k.services != nil && !slices.Contains(k.services, "*") && !slices.Contains(k.services, service):
		return fmt.Errorf("the key is not for service %s (s=%.40q)", service, strings.Join(k.services, ":"))
	case slices.Contains(k.flags, "y"):
		return errors.New("the key is for testing only (t=y)") // treat the message as unsigned
	case slices.Contains(k.flags, "s") && !strings.EqualFold(s.identity, s.domain):
		return errors.New("the key is not for subdomains (t=s)")
	}
	return nil
}

// verifies reports whether the key made a signature of a hash.
func (k key) verifies(hash, signed []byte) bool {
	if k.ed25519 != nil {
		return ed25519.Verify(k.ed25519, hash, signed)
	}
	return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, hash, signed) == nil
}
