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

// Pairs gives the certificates that there are in the folder of a Renewer, in the order of
// hosts. It logs what is wrong with one that cannot be used, such as that it has expired.
func Pairs(folder string, hosts []string, log *slog.Logger) []certs.Pair {
	var pairs []certs.Pair
	for _, host := range hosts {
		pair := pairOf(folder, host)
		_, err := certs.Load(pair, time.Now())
		switch {
		case err == nil:
			pairs = append(pairs, pair)
		case !errors.Is(err, fs.ErrNotExist):
			log.Error("certificate of the authority cannot be used", logkey.Names, host, logkey.Err, err)
		}
	}
	return pairs
}

// pairOf names the one file of a host that holds both, the certificate and the key. It
// need not be there.
func pairOf(folder, host string) certs.Pair {
	file := filepath.Join(folder, host+".pem")
	return certs.Pair{CertFile: file, KeyFile: file}
}

func (r *Renewer) pair(host string) certs.Pair { return pairOf(r.settings.Folder, host) }

// adopt takes over what certmagic has stored for a host. It does so in two files, and
// who was stopped between them would be left with a certificate and the key of another:
// in one file there are both or what was before.
func (r *Renewer) adopt(host string) error {
	stored := r.stored(host)
	if _, err := certs.Load(stored, time.Now()); err != nil {
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

// stored names the files of certmagic.
func (r *Renewer) stored(host string) certs.Pair {
	authority := r.issuer.IssuerKey()
	file := func(key string) string { return filepath.Join(r.settings.Folder, filepath.FromSlash(key)) }
	return certs.Pair{
		CertFile: file(certmagic.StorageKeys.SiteCert(authority, host)),
		KeyFile:  file(certmagic.StorageKeys.SitePrivateKey(authority, host)),
	}
}

// settle brings in order what a stop at a bad moment left: a certificate that was
// stored and not taken over, or one beside the key of another, with which certmagic
// would do nothing at all.
func (r *Renewer) settle(host string) error {
	stored := r.stored(host)
	theirs, err := certs.Load(stored, time.Now())
	if errors.Is(err, certs.ErrMismatch) {
		return os.Remove(stored.CertFile)
	}
	if err != nil {
		return nil // none, or one that is to be renewed
	}
	ours, err := certs.Load(r.pair(host), time.Now())
	if err == nil && !theirs.Leaf.NotAfter.After(ours.Leaf.NotAfter) {
		return nil
	}
	return r.adopt(host)
}
