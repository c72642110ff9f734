package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"postern/internal/certs"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
)

// check looks at the whole, once everything is set.
func (l *loading) check() {
	l.checkHostname()
	l.checkDomains()
	l.checkAddresses("recipients", l.config.Recipients)
	l.checkReports()
	l.checkListen()
	l.checkNextHop()
	l.checkCertificates()
	l.checkMTASTS()
	l.checkACME()
	l.checkData()
	l.checkCommandLine()
}

func (l *loading) checkCommandLine() {
	n := l.config.Limits.CommandLine
	if n != 0 && (n < minCommandLine || n > smtpd.MaxCommandLine) {
		l.add("limits.command-line", fmt.Sprintf("%d bytes", n), `write a size from "512B" to "4KiB"`)
	}
}

// minCommandLine is what RFC 5321, Section 4.5.3.1.4, lets every client send.
const minCommandLine = 512

func (l *loading) checkHostname() {
	name, err := domainName(l.config.Hostname)
	if err != nil {
		l.add("hostname", fmt.Sprintf("%q is no host name", l.config.Hostname), "write the name that the MX record has, such as mx.example.org")
		name = "localhost" // for the checks to come
	}
	l.config.Hostname = name
}

func (l *loading) checkDomains() {
	c := l.config
	if c.Domains == nil {
		c.Domains = []string{"localhost"}
		if c.Hostname != "localhost" {
			c.Domains = append(c.Domains, c.Hostname)
		}
	}
	if len(c.Domains) == 0 {
		l.add("domains", "is empty, so no mail would be taken", "name at least one domain, or leave the key out for localhost and the hostname")
	}
	for i, domain := range c.Domains {
		if _, err := domainName(domain); err != nil {
			l.add(fmt.Sprintf("domains[%d]", i), fmt.Sprintf("%q is no domain", domain), domainRemedy(domain))
		}
	}
}

func domainRemedy(domain string) string {
	switch {
	case strings.Contains(domain, "@"):
		return "write only what is behind the @, and addresses into recipients"
	case strings.Contains(domain, "*"):
		return "there are no wildcards, name each domain"
	case strings.Contains(domain, ","):
		return "name each domain for itself"
	}
	return "write a name such as example.org"
}

// checkAddresses looks at a list of addresses that mail is to be taken for.
func (l *loading) checkAddresses(list string, addresses []string) {
	taken := make(map[string]bool)
	for _, domain := range l.config.Domains {
		name, _ := domainName(domain)
		taken[name] = true
	}
	for i, address := range addresses {
		key := fmt.Sprintf("%s[%d]", list, i)
		local, domain, _ := cutLast(address, "@")
		name, err := domainName(domain)
		switch {
		case local == "" || err != nil:
			l.add(key, fmt.Sprintf("%q is no address", address), "write it as name@example.org")
		case !taken[name]:
			l.add(key, fmt.Sprintf("no mail is taken for the domain of %q", address), "add the domain to domains")
		}
	}
}

func (l *loading) checkListen() {
	c := l.config
	if len(c.Listen)+len(c.ListenTLS) == 0 {
		l.add("listen", "is empty, and so is listen-tls", `name an address such as "0.0.0.0:25"`)
	}
	used := make(map[string]bool)
	for _, list := range []struct {
		key       string
		addresses []string
	}{{"listen", c.Listen}, {"listen-tls", c.ListenTLS}, {"web.listen", c.Web.Listen}, {"web.listen-plain", c.Web.ListenPlain}} {
		for i, address := range list.addresses {
			key := fmt.Sprintf("%s[%d]", list.key, i)
			if what, remedy := checkAddress(address); what != "" {
				l.add(key, fmt.Sprintf("%q %s", address, what), remedy)
			} else if used[address] {
				l.add(key, fmt.Sprintf("%q is given twice", address), "leave one out")
			}
			used[address] = !strings.HasSuffix(address, ":0") // the system finds a port for each
		}
	}
}

// checkAddress says what is wrong with an address to listen on, nothing if it
// is good. Names are not looked up: what one stands for can change.
func checkAddress(address string) (what, remedy string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is no address", "write host:port, such as 127.0.0.1:2525 or [::]:25"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "has no port number", "write a number from 1 to 65535 behind the colon"
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "has no IP address", "write an IP address of this machine, or nothing, before the colon"
	}
	return "", ""
}

func (l *loading) checkNextHop() {
	c := l.config
	if c.nextHop == toMaildir {
		return
	}
	hop, err := relay.ParseURL(c.nextHop)
	if err != nil {
		what := strings.TrimPrefix(err.Error(), relay.ErrURL.Error()+" ")
		l.add("next-hop", what, "write maildir, or a URL such as smtp://127.0.0.1:2526 or lmtp+unix:///run/dovecot/lmtp; deploy/postern.toml has the options")
		return
	}
	c.NextHop = &hop
}

func (l *loading) checkCertificates() {
	for i, pair := range l.config.Certificates {
		table := fmt.Sprintf("certificate[%d]", i)
		cert, key := table+".cert", table+".key"
		switch {
		case pair == certs.Pair{}:
			l.add(table, "certificate and key are missing", "write cert and key, or leave the table out")
		case pair.KeyFile == "":
			l.add(cert, fmt.Sprintf("%s has no key", pair.CertFile), "name a key for each certificate, in the same order")
		case pair.CertFile == "":
			l.add(key, fmt.Sprintf("%s has no certificate", pair.KeyFile), "name a certificate for each key, in the same order")
		default:
			l.checkPair(pair, cert, key)
		}
	}
}

func (l *loading) checkPair(pair certs.Pair, cert, key string) {
	_, err := certs.Load(pair, time.Now())
	var fault *certs.Error
	if !errors.As(err, &fault) {
		return
	}
	at := cert
	if fault.File == pair.KeyFile {
		at = key
	}
	l.add(at, strings.TrimPrefix(fault.Error(), "certs: "), fault.Remedy())
}

// checkData tries whether files can be made in the data folder, or where it
// will be. It leaves nothing there.
func (l *loading) checkData() {
	dir := l.config.Data
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			l.add("data", dir+" is no folder", "name a folder, it is made if missing")
			return
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		break
	}
	f, err := os.CreateTemp(dir, ".postern-check-*")
	if err != nil {
		l.add("data", fmt.Sprintf("files cannot be made in %s: %v", dir, pathless(err)), "let the user that postern runs as write there, or name another folder by --data")
		return
	}
	f.Close()
	os.Remove(f.Name())
}

// pathless drops the path from an error where the message has it.
func pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Bounds of RFC 1035, Section 2.3.4.
const (
	maxLabel  = 63
	maxDomain = 253 // as text
)

var errDomain = errors.New("not a domain name")

// domainName gives a name in ASCII. Underscores may stand in it: there are
// hosts so named.
func domainName(name string) (string, error) {
	ascii := strings.TrimSuffix(name, ".")
	if strings.ContainsFunc(ascii, func(r rune) bool { return r > 127 }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(ascii); err != nil {
			return "", fmt.Errorf("%w: %w", errDomain, err)
		}
	}
	if len(ascii) > maxDomain {
		return "", errDomain
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if !validLabel(label) {
			return "", errDomain
		}
	}
	return strings.ToLower(ascii), nil
}

func validLabel(label string) bool {
	strange := strings.ContainsFunc(label, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
	return label != "" && len(label) <= maxLabel && !strange && label[0] != '-' && label[len(label)-1] != '-'
}
