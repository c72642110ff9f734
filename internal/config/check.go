package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"postern/internal/certs"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
)

// check checks the whole configuration.
func (l *loading) check() {
	l.checkHostname()
	l.checkDomains()
	l.checkAddresses("recipients", l.config.Recipients)
	l.checkReports()
	l.checkAlerts()
	l.checkListen()
	l.checkFrontEnds()
	l.checkMetrics()
	l.checkNextHop()
	l.checkCertificates()
	l.checkDashboard()
	l.checkMTASTS()
	l.checkACME()
	l.checkSelfCheck()
	l.checkFleet()
	l.checkData()
	l.checkCommandLine()
}

func (l *loading) checkCommandLine() {
	n := l.config.Limits.CommandLine
	if n != 0 && (n < minCommandLine || n > smtpd.MaxCommandLine) {
		l.add("limits.command-line", fmt.Sprintf("%d bytes", n), `write a size from "512B" to "4KiB"`)
	}
}

// minCommandLine is what every client may send (RFC 5321, Section 4.5.3.1.4).
const minCommandLine = 512

func (l *loading) checkHostname() {
	name, err := domainName(l.config.Hostname)
	if err != nil {
		l.add("hostname", fmt.Sprintf("%q is not a host name", l.config.Hostname), "write the name in the MX record, such as mx.example.org")
		name = "localhost" // for later checks
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
		l.add("domains", "is empty, so no mail would be accepted", "list at least one domain, or remove the key to use localhost and the hostname")
	}
	for i, domain := range c.Domains {
		if _, err := domainName(domain); err != nil {
			l.add(element("domains", i), fmt.Sprintf("%q is not a domain", domain), domainRemedy(domain))
		}
	}
}

// DomainNames are the domains in ASCII and lower case, none twice.
func (c *Config) DomainNames() (names []string) {
	seen := make(map[string]bool, len(c.Domains))
	for _, domain := range c.Domains {
		if name, err := domainName(domain); err == nil && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// element is the key of an element of a list.
func element(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func domainRemedy(domain string) string {
	switch {
	case strings.Contains(domain, "@"):
		return "write only the part after the @; addresses belong in recipients"
	case strings.Contains(domain, "*"):
		return "list each domain; there are no wildcards"
	case strings.Contains(domain, ","):
		return "write each domain as an element of its own"
	}
	return "write a name such as example.org"
}

// checkAddresses checks a list of recipient addresses.
func (l *loading) checkAddresses(list string, addresses []string) {
	if len(addresses) == 0 {
		return
	}
	accepted := make(map[string]bool, len(l.config.Domains))
	for _, domain := range l.config.Domains {
		name, _ := domainName(domain)
		accepted[name] = true
	}
	for i, address := range addresses {
		local, domain, _ := cutLast(address, "@")
		name, err := domainName(domain)
		switch {
		case local == "" || err != nil:
			l.add(element(list, i), fmt.Sprintf("%q is not an address", address), "write an address such as name@example.org")
		case !accepted[name]:
			l.add(element(list, i), fmt.Sprintf("%q is not in one of the domains", address), "add the domain to domains")
		}
	}
}

func (l *loading) checkListen() {
	c := l.config
	if len(c.mailAddresses()) == 0 {
		l.add("listen", "is empty, and so is listen-tls", `list an address such as "0.0.0.0:25"`)
	}
	used := make(map[string]bool)
	for _, list := range []struct {
		key       string
		addresses []string
	}{{"listen", c.Listen}, {"listen-tls", c.ListenTLS}, {"proxy-protocol.listen", c.ProxyProtocol.Listen}, {"proxy-protocol.listen-tls", c.ProxyProtocol.ListenTLS}, {"xclient.listen", c.XClient.Listen}, {"web.listen", c.Web.Listen}, {"web.listen-plain", c.Web.ListenPlain}, {"dashboard.listen", addressOrNone(c.Dashboard.Listen)}, {"metrics.listen", addressOrNone(c.Metrics.Listen)}} {
		for i, address := range list.addresses {
			key := element(list.key, i) // also of the settings that are no lists: it means the whole one
			if what, remedy := checkAddress(address); what != "" {
				l.add(key, fmt.Sprintf("%q %s", address, what), remedy)
			} else if used[address] {
				l.add(key, fmt.Sprintf("%q is listed twice", address), "remove one")
			}
			used[address] = !strings.HasSuffix(address, ":0") // the system chooses another port for each
		}
	}
}

// checkAddress returns what is wrong with an address to listen on, "" if nothing.
// Names are not allowed: their addresses can change.
func checkAddress(address string) (what, remedy string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is not an address", "write host:port, such as 127.0.0.1:2525 or [::]:25"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "has no port number", "write a number from 0 to 65535 after the colon"
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "has no IP address", "write an IP address of this machine before the colon, or nothing for all"
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
		l.add("next-hop", what, "write maildir, or a URL such as smtp://127.0.0.1:2526 or lmtp+unix:///run/dovecot/lmtp; see deploy/postern.toml for the options")
		return
	}
	c.NextHop = &hop
}

func (l *loading) checkCertificates() {
	for i, pair := range l.config.Certificates {
		table := element("certificate", i)
		cert, key := table+".cert", table+".key"
		switch {
		case pair == certs.Pair{}:
			l.add(table, "has neither cert nor key", "write both, or remove the table")
		case pair.KeyFile == "":
			l.add(cert, fmt.Sprintf("%s has no key", pair.CertFile), "write key in the same table; on the command line, one --key for each --cert, in the same order")
		case pair.CertFile == "":
			l.add(key, fmt.Sprintf("%s has no certificate", pair.KeyFile), "write cert in the same table; on the command line, one --cert for each --key, in the same order")
		default:
			l.checkPair(pair, cert, key)
		}
	}
}

func (l *loading) checkPair(pair certs.Pair, cert, key string) {
	_, err := l.config.Files.Load(pair)
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

// pathless removes the path from an error whose message has it already.
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

// domainName returns a name in ASCII. Underscores are allowed: some hosts have
// them.
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
