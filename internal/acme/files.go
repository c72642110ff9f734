package acme

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/certs"
	"postern/internal/logkey"
)

// Pairs gives the certificates of the hosts that there are, in the order of Settings.
// It logs what is wrong with one that cannot be used, such as that it has expired.
func (r *Renewer) Pairs() []certs.Pair {
	var pairs []certs.Pair
	for _, host := range r.settings.Hosts {
		pair := r.pair(host)
		_, err := certs.Load(pair, time.Now())
		switch {
		case err == nil:
			pairs = append(pairs, pair)
		case !errors.Is(err, fs.ErrNotExist):
			r.log.Error("certificate of the authority cannot be used", logkey.Names, host, logkey.Err, err)
		}
	}
	return pairs
}

// pair names the files of a host, which need not be there.
func (r *Renewer) pair(host string) certs.Pair {
	authority := r.issuer.IssuerKey()
	file := func(key string) string { return filepath.Join(r.settings.Folder, filepath.FromSlash(key)) }
	return certs.Pair{
		CertFile: file(certmagic.StorageKeys.SiteCert(authority, host)),
		KeyFile:  file(certmagic.StorageKeys.SitePrivateKey(authority, host)),
	}
}
