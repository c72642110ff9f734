package setup

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/certs"
)

// A certificate is a pair of files that was found.
type certificate struct {
	pair certs.Pair
	leaf *x509.Certificate
	by   string // who obtains it, or presents it
}

// A client is a program that obtains certificates, and where it keeps them.
type client struct {
	name      string
	certs     []string // patterns of the files of certificates
	keyOf     func(cert string) string
	afterward string // a folder of programs that it runs after a renewal; empty if there is none
}

var clients = []client{
	{"certbot", []string{"etc/letsencrypt/live/*/fullchain.pem"},
		func(cert string) string { return filepath.Join(filepath.Dir(cert), "privkey.pem") }, "/etc/letsencrypt/renewal-hooks/deploy"},
	{"lego", []string{"etc/lego/certificates/*.crt", "var/lib/lego/certificates/*.crt", "root/.lego/certificates/*.crt"}, besideIt, ""},
	{"Caddy", []string{"var/lib/caddy/.local/share/caddy/certificates/*/*/*.crt", "root/.local/share/caddy/certificates/*/*/*.crt"}, besideIt, ""},
}

// besideIt is the key with the name of its certificate.
func besideIt(cert string) string { return strings.TrimSuffix(cert, ".crt") + ".key" }

// daily is the folder of programs that cron runs each day.
const daily = "/etc/cron.daily"

// findCertificates returns the certificates for the hostname that senders can verify, below a
// root folder and of the servers: at most one for each algorithm of the key, the one that is
// valid for the longest time.
func (m *Machine) findCertificates(root string) (found []certificate) {
	var all []certificate
	for _, c := range clients {
		for _, pattern := range c.certs {
			for _, path := range glob(root, pattern) {
				if strings.HasSuffix(path, ".issuer.crt") { // of lego: the authority's
					continue
				}
				all = append(all, loadCertificates(c.name, certs.Pair{CertFile: path, KeyFile: c.keyOf(path)})...)
			}
		}
	}
	for _, s := range m.servers {
		all = append(all, s.certificates...)
	}
	slices.SortStableFunc(all, func(a, b certificate) int { return b.leaf.NotAfter.Compare(a.leaf.NotAfter) })
	for _, c := range all {
		if certs.Flaw(c.leaf, m.Hostname, time.Now()) == "" && !slices.ContainsFunc(found, func(f certificate) bool {
			return f.leaf.PublicKeyAlgorithm == c.leaf.PublicKeyAlgorithm
		}) {
			found = append(found, c)
		}
	}
	return found
}

// loadCertificates returns those of the pairs that can be loaded.
func loadCertificates(by string, pairs ...certs.Pair) (found []certificate) {
	for _, pair := range pairs {
		if cert, err := certs.Load(pair); err == nil {
			found = append(found, certificate{pair, cert.Leaf, by})
		}
	}
	return found
}

// String describes the certificate for people.
func (c certificate) String() string {
	return fmt.Sprintf("%s: %s for %s, until %s (%s)", c.pair.CertFile, c.leaf.PublicKeyAlgorithm,
		strings.Join(c.leaf.DNSNames, ", "), c.leaf.NotAfter.UTC().Format(time.DateOnly), c.by)
}

// open reports whether every user of the machine can read a file: as far as its modes say, and
// those of the folders above it.
func open(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for right := os.FileMode(0o004); ; right = 0o001 {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&right == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}

// copied returns the pair of files to which a certificate is copied, since the user postern
// cannot read the original.
func (c certificate) copied() certs.Pair {
	name := filepath.Base(filepath.Dir(c.pair.CertFile)) // of certbot; "mx.example.org-0001", too
	if c.by != "certbot" {
		name = strings.TrimSuffix(filepath.Base(c.pair.CertFile), filepath.Ext(c.pair.CertFile))
	}
	name = filepath.Join(ownFolder, name+"-"+strings.ToLower(c.leaf.PublicKeyAlgorithm.String()))
	return certs.Pair{CertFile: name + ".pem", KeyFile: name + ".key"}
}

// afterRenewal returns the folder whose programs run after the certificate was renewed, or at
// least daily.
func (c certificate) afterRenewal() string {
	for _, known := range clients {
		if known.name == c.by && known.afterward != "" {
			return known.afterward
		}
	}
	return daily
}
