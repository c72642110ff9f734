package config

import (
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
)

// ACME says which certificates an authority is asked for (RFC 8555).
type ACME struct {
	Ask       bool
	Directory string // a URL
	Email     string // empty: none
	Hosts     []string
	NewKey    bool           // with each renewal
	CA        string         // a file of roots; empty: the system's
	Roots     *x509.CertPool // those of CA; nil: the system's
}

// letsEncrypt is the directory that most will want.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// checkACME looks at the table acme, where it is given: an empty one asks for all
// defaults. It comes after mta-sts, whose hosts need certificates too.
func (l *loading) checkACME() {
	a := &l.config.ACME
	if a.Ask = l.given("acme"); !a.Ask {
		return
	}
	if len(l.config.Web.Listen)+len(l.config.Web.ListenPlain) == 0 {
		l.add("acme", "is answered by the web listener, and that is off", `name an address such as ":443" in listen below [web], or ":80" in listen-plain`)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		l.add("acme.directory", fmt.Sprintf("%q is no https URL", a.Directory), "write the one that your authority names, or leave the key out for Let's Encrypt")
	}
	if _, err := mail.ParseAddress(a.Email); err != nil && a.Email != "" {
		l.add("acme.email", fmt.Sprintf("%q is no address", a.Email), "write it as name@example.org")
	}
	l.checkCertifiedHosts()
	l.checkAuthorityRoots()
}

func (l *loading) checkCertifiedHosts() {
	a := &l.config.ACME
	if a.Hosts == nil {
		a.Hosts = []string{l.config.Hostname}
		for _, domain := range l.config.MTASTS.Domains {
			a.Hosts = append(a.Hosts, "mta-sts."+domain)
		}
	}
	if len(a.Hosts) == 0 {
		l.add("acme.hosts", "is empty, so there is nothing to certify", "name the hosts, or leave the key out for the hostname")
	}
	for i, host := range a.Hosts {
		key := fmt.Sprintf("acme.hosts[%d]", i)
		name, err := domainName(host)
		switch {
		case strings.HasPrefix(host, "*."):
			l.add(key, fmt.Sprintf("%q is for many hosts, which takes a challenge by DNS", host), "name each host")
		case err != nil || !strings.Contains(name, "."):
			l.add(key, fmt.Sprintf("%q is no host that an authority knows", host), "write a full name such as mx.example.org, in hosts or as hostname")
		case slices.Contains(a.Hosts[:i], name):
			l.add(key, fmt.Sprintf("%q is given twice", host), "leave one out")
		}
		a.Hosts[i] = name
	}
}

func (l *loading) checkAuthorityRoots() {
	a := &l.config.ACME
	if a.CA == "" {
		return
	}
	content, err := os.ReadFile(a.CA)
	if err != nil {
		l.add("acme.ca", fmt.Sprintf("%s: %v", a.CA, pathless(err)), "name a PEM file that the user that postern runs as can read")
		return
	}
	if a.Roots = x509.NewCertPool(); !a.Roots.AppendCertsFromPEM(content) {
		l.add("acme.ca", a.CA+" holds no certificate", "name a PEM file with the authority's root")
	}
}
