package acme

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/certs"
	"postern/internal/durable"
	"postern/internal/logkey"
)

// Pairs returns the certificates in the folder of a Renewer, in the order of hosts,
// expired ones too. It logs those that cannot be used.
func Pairs(folder string, hosts []string, files *certs.Files, log *slog.Logger) []certs.Pair {
	var pairs []certs.Pair
	for _, host := range hosts {
		pair := pairOf(folder, host)
		_, err := files.Load(pair)
		switch {
		case err == nil:
			pairs = append(pairs, pair)
		case !errors.Is(err, fs.ErrNotExist):
			log.Error("ACME certificate unusable", logkey.Names, host, logkey.Err, err)
		}
	}
	return pairs
}

// pairOf returns the file of a host, which holds both the certificate and the key. It may
// not exist.
func pairOf(folder, host string) certs.Pair {
	file := filepath.Join(folder, host+".pem")
	return certs.Pair{CertFile: file, KeyFile: file}
}

func (r *Renewer) pair(host string) certs.Pair { return pairOf(r.settings.Folder, host) }

// adopt copies what certmagic has stored for a host to the host's file. certmagic writes
// two files; a process that stops between them leaves a certificate beside the key of
// another. One file has both.
func (r *Renewer) adopt(host string) error {
	stored := r.stored(host)
	if _, err := certs.LoadValid(stored, time.Now()); err != nil {
		return err
	}
	var whole bytes.Buffer
	for _, name := range []string{stored.CertFile, stored.KeyFile} {
		part, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("acme: %w", err)
		}
		whole.Write(part)
		whole.WriteByte('\n')
	}
	if err := durable.WriteFile(r.pair(host).CertFile, whole.Bytes(), 0o600); err != nil {
		return fmt.Errorf("acme: %w", err)
	}
	select {
	case r.changes <- struct{}{}:
	default:
	}
	return nil
}

// stored returns the files of certmagic.
func (r *Renewer) stored(host string) certs.Pair {
	authority := r.issuer.IssuerKey()
	file := func(key string) string { return filepath.Join(r.settings.Folder, filepath.FromSlash(key)) }
	return certs.Pair{
		CertFile: file(certmagic.StorageKeys.SiteCert(authority, host)),
		KeyFile:  file(certmagic.StorageKeys.SitePrivateKey(authority, host)),
	}
}

// recoverStored repairs what a process left that stopped while certmagic stored a
// certificate: it adopts one that was stored and not adopted, and removes one that does
// not belong to the key beside it, which certmagic would keep forever.
func (r *Renewer) recoverStored(host string) error {
	stored := r.stored(host)
	if _, err := certs.LoadValid(stored, time.Now()); errors.Is(err, certs.ErrMismatch) {
		return os.Remove(stored.CertFile)
	}
	return r.adoptLatest(host)
}

// adoptLatest adopts what is stored for a host if it is valid, and for longer than the current one.
func (r *Renewer) adoptLatest(host string) error {
	latest, err := certs.LoadValid(r.stored(host), time.Now())
	if err != nil {
		return nil // missing, due for renewal, or one of its two files is still to come
	}
	current, err := certs.LoadValid(r.pair(host), time.Now())
	if err == nil && !latest.Leaf.NotAfter.After(current.Leaf.NotAfter) {
		return nil
	}
	return r.adopt(host)
}
