package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/dnsrecords"
	"postern/internal/durable"
	"postern/internal/server"
)

// A nextKey is the key that comes after that of the hostname's certificate. A file beside
// it has the time at which its TLSA record was first seen.
type nextKey struct{ *config.Config }

func (n nextKey) seenFile() string { return n.NextKeyFile() + ".seen" }

// prepare makes the key, unless one is there that is not in use yet.
func (n nextKey) prepare() error {
	next, err := n.public()
	if err != nil {
		return err
	}
	if n.inUse(next) {
		err = errors.Join(remove(n.NextKeyFile()), remove(n.seenFile()))
	}
	if err == nil {
		err = durable.MkdirAll(n.Data, 0o700)
	}
	if err == nil {
		_, err = certs.MakeKey(n.NextKeyFile())
	}
	return err
}

// inUse reports whether the host shows a certificate of the key.
func (n nextKey) inUse(key crypto.PublicKey) bool {
	public, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && slices.ContainsFunc(n.current(), public.Equal)
}

// current are the keys of the certificates that the host shows.
func (n nextKey) current() (keys []crypto.PublicKey) {
	for _, cert := range certs.For(n.Hostname, server.Certificates(n.Config)) {
		keys = append(keys, cert.Leaf.PublicKey)
	}
	return keys
}

// public gives the key, nil if there is none.
func (n nextKey) public() (crypto.PublicKey, error) {
	key, err := certs.LoadKey(n.NextKeyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return key.Public(), nil
}

// seen is when its record was first seen, zero if that is not known.
func (n nextKey) seen() time.Time {
	content, _ := os.ReadFile(n.seenFile()) // without it the wait begins again
	at, _ := time.Parse(time.RFC3339, strings.TrimSpace(string(content)))
	return at
}

// note keeps the time at which the record was first seen.
func (n nextKey) note(r dnsrecords.Rollover, now time.Time) error {
	switch {
	case r.Step == dnsrecords.Undecided:
		return nil
	case !r.Published:
		return remove(n.seenFile())
	case n.seen().IsZero():
		return durable.WriteFile(n.seenFile(), []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600)
	}
	return nil
}

// use puts the key where the hostname's certificate is made from, once no sender can
// hold an older set of records. The file stays until another key is prepared, so that it
// is known whose record is published while the certificate is being got.
func (n nextKey) use(ui terminal, r dnsrecords.Rollover) error {
	next, err := n.public()
	switch {
	case err != nil:
		return err
	case next == nil:
		return &usageError{errors.New("no next key is prepared"), "postern dns --next-key makes it"}
	case n.inUse(next):
		return &usageError{errors.New("the prepared key is in use already"), "postern dns --next-key makes another"}
	}
	if r.Step != dnsrecords.Switch {
		return &hintedError{errors.New("the key is not put in use: senders that check DANE would refuse it"), advice(r)}
	}
	how, err := n.hand()
	if err != nil {
		return err
	}
	ui.note(how)
	return nil
}

// hand gives the key to whatever makes the hostname's certificate, and says what follows.
func (n nextKey) hand() (string, error) {
	if n.ACME.Ask || len(n.Certificates) > 0 {
		return "", &usageError{
			fmt.Errorf("the certificate of %s is not made here", n.Hostname),
			"get a certificate for the key in " + n.NextKeyFile() + " and name both below [[certificate]] in place of the old ones",
		}
	}
	if err := certs.CopyKey(certs.SelfSignedPairs(n.TLSFolder())[0].KeyFile, n.NextKeyFile()); err != nil {
		return "", err
	}
	_, err := certs.SelfSigned(n.TLSFolder(), n.Hostname, slog.New(slog.DiscardHandler))
	return "a self-signed certificate has the key now; postern serve takes it within seconds", err
}

// remove removes a file that may be there.
func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
