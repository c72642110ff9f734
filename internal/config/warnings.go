package config

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"postern/internal/nexthop/relay"
	"postern/internal/oserror"
	"postern/mtasts"
	"postern/sessionticket"
)

// Warnings returns what is valid and probably a mistake, as it is at the time now for
// a process of the user uid. It may look up the name of the next hop.
func (c *Config) Warnings(now time.Time, uid int) Problems {
	w := &warnings{config: c, now: now, user: serviceAccountOf(uid, c.Data)}
	w.readCertificates()
	w.checkRoom()
	w.checkNames()
	w.checkFirstMode()
	w.checkCertificates()
	w.checkPolicyHosts()
	w.checkFiles()
	w.checkUser()
	w.checkMetrics()
	w.checkMode("fleet.secret-file", w.config.Fleet.SecretFile, "run chmod o= "+w.config.Fleet.SecretFile)
	w.checkMode("fleet.credentials", w.config.Fleet.Credentials, "run chmod o= "+w.config.Fleet.Credentials)
	w.checkNextHop()
	return w.found.inOrder()
}

// warnings is the state of [Config.Warnings].
type warnings struct {
	config    *Config
	now       time.Time
	user      serviceAccount
	leaves    []*x509.Certificate // those configured, nil where one cannot be read
	certified map[string]bool     // names that have a certificate, or will by ACME
	found     Problems
}

func (w *warnings) readCertificates() {
	w.certified = make(map[string]bool)
	for _, pair := range w.config.Certificates {
		var leaf *x509.Certificate
		if cert, err := w.config.Files.Load(pair); err == nil {
			leaf = cert.Leaf
			for _, name := range leaf.DNSNames {
				w.certified[strings.ToLower(name)] = true
			}
		}
		w.leaves = append(w.leaves, leaf)
	}
	if w.config.ACME.Enabled {
		for _, host := range w.config.ACME.Hosts {
			w.certified[host] = true
		}
	}
}

// hasCertificate reports whether there is a certificate for a name, or will be by ACME.
func (w *warnings) hasCertificate(name string) bool {
	_, parent, _ := strings.Cut(name, ".")
	return w.certified[name] || w.certified["*."+parent]
}

func (w *warnings) add(key, what, remedy string) {
	w.found = append(w.found, w.config.places.problem(key, what, remedy))
}

// checkNames looks for names that no other mail server can know.
func (w *warnings) checkNames() {
	c := w.config
	if !w.config.Reachable() {
		return
	}
	if !strings.Contains(c.Hostname, ".") {
		w.add("hostname", fmt.Sprintf("%q is a bare name, which other mail servers cannot look up", c.Hostname), "write the name in the MX record, such as mx.example.org")
	}
	given := c.places.given("domains")
	for i, domain := range c.Domains {
		if given && !strings.Contains(domain, ".") && domain != "localhost" {
			w.add(element("domains", i), fmt.Sprintf("%q is a bare name", domain), "write the whole domain, such as example.org")
		}
	}
}

// checkFirstMode looks for the mode that is for comparison, where senders come that need another.
func (w *warnings) checkFirstMode() {
	if w.config.Reachable() && w.config.Mode == sessionticket.Stock {
		w.add("mode", `"stock" sends session tickets before the sender's Finished: some senders fail then, outlook.com's among them`, `remove it: the default is "own-write"`)
	}
}

// Reachable reports whether other machines can connect for mail: a server on loopback is
// being tried out.
func (c *Config) Reachable() bool {
	return slices.ContainsFunc(c.mailAddresses(), reachable)
}

// reachable reports whether other machines can connect to an address to listen on.
func reachable(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && !ip.IsLoopback()
}

// checkCertificates looks at the dates of the certificates, and for one that has the
// hostname.
func (w *warnings) checkCertificates() {
	const soon = 14 * 24 * time.Hour // as package certs warns
	for i, leaf := range w.leaves {
		key := element("certificate", i) + ".cert"
		switch {
		case leaf == nil: // changed since it was checked
		case w.now.After(leaf.NotAfter):
			w.add(key, "expired on "+leaf.NotAfter.UTC().Format(time.DateOnly)+"; senders that verify certificates do not deliver", "renew it")
		case w.now.Before(leaf.NotBefore):
			w.add(key, "is not valid before "+leaf.NotBefore.UTC().Format(time.DateOnly), "check the clock of this machine")
		case leaf.NotAfter.Sub(w.now) < soon:
			w.add(key, "expires on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it")
		}
	}
	w.checkKeys()
	if len(w.config.Certificates) > 0 && !w.hasCertificate(w.config.Hostname) {
		w.add("certificate[0].cert", "no certificate is for the hostname "+w.config.Hostname, "add one that is, or set hostname to the name in the MX record")
	}
}

// leastRSA is the length of an RSA key, in bits, below which clients reject it: public authorities
// sign none (CA/Browser Forum, Baseline Requirements, Section 6.1.5).
const leastRSA = 2048

// checkKeys looks for keys that not every sender can use.
func (w *warnings) checkKeys() {
	usable := false
	for i, leaf := range w.leaves {
		if leaf == nil {
			return
		}
		if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
			w.add(element("certificate", i)+".cert", fmt.Sprintf("has an RSA key of %d bits, which senders that verify certificates reject", key.N.BitLen()), fmt.Sprintf("use one of %d bits or more, or an ECDSA key", leastRSA))
		}
		usable = usable || leaf.PublicKeyAlgorithm != x509.Ed25519
	}
	if len(w.leaves) > 0 && !usable {
		w.add("certificate[0].cert", "all certificates have Ed25519 keys, which older senders do not know, and public authorities do not sign", "add one with an ECDSA or RSA key")
	}
}

// checkPolicyHosts looks for the certificates without which senders cannot read an
// MTA-STS policy (RFC 8461, Section 3.3), or not deliver under it.
func (w *warnings) checkPolicyHosts() {
	m := w.config.MTASTS
	if !m.Enabled || m.Mode != mtasts.Enforce {
		return
	}
	var missing []string
	if len(w.config.Certificates) == 0 && !w.hasCertificate(w.config.Hostname) { // else see checkCertificates
		missing = append(missing, w.config.Hostname)
	}
	for _, domain := range m.Domains {
		if host := "mta-sts." + domain; !w.hasCertificate(host) {
			missing = append(missing, host)
		}
	}
	if len(missing) > 0 {
		w.add("mta-sts.mode", "enforce needs a certificate for "+Summary(missing)+", and there is none", "add one below [[certificate]], or list the host in acme.hosts")
	}
}

// checkFiles looks for keys and data that others can read, or the service cannot.
func (w *warnings) checkFiles() {
	for i, pair := range w.config.Certificates {
		w.checkMode(element("certificate", i)+".key", pair.KeyFile, "run chmod o= "+pair.KeyFile)
		for _, file := range []string{pair.CertFile, pair.KeyFile} {
			if at := w.user.blocked(file); at != "" {
				w.add(element("certificate", i), fmt.Sprintf("the user %s, who owns %s, cannot read %s: see the mode of %s", w.user.name, w.config.Data, file, at), "let that user read it; docs/operating.md has a deploy hook for certbot")
			}
		}
	}
	w.checkMode("data", w.config.Data, "run chmod 700 "+w.config.Data)
}

// checkMode looks for a file or folder that every user can read, write or pass.
func (w *warnings) checkMode(key, file, remedy string) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
		w.add(key, fmt.Sprintf("%s is open to every user of this machine (mode %04o)", file, info.Mode().Perm()), remedy)
	}
}

// checkMetrics looks for metrics that other machines can read without a token, and for a token
// that others can read.
func (w *warnings) checkMetrics() {
	m := w.config.Metrics
	if m.Token == "" && slices.ContainsFunc(addressOrNone(m.Listen), reachable) {
		w.add("metrics.listen", "other machines can read the metrics, such as how much mail arrives", "set token-file in [metrics], or listen on 127.0.0.1")
	}
	w.checkMode("metrics.token-file", m.TokenFile, "run chmod o= "+m.TokenFile)
}

func (w *warnings) checkUser() {
	if w.user.root && w.config.Reachable() {
		w.add("data", "postern runs as root, or the folder belongs to root", "run it as a user of its own that owns the folder, as deploy/postern.service does")
	}
}

// lookupTime bounds the look-up of the next hop's name.
const lookupTime = 2 * time.Second

// checkNextHop looks for a loop, and for a next hop that cannot see who the sender is.
func (w *warnings) checkNextHop() {
	hop := w.config.NextHop
	if hop == nil {
		return
	}
	if hop.XClient == relay.XClientOff && hop.Proxy == 0 {
		w.add("next-hop", "the next hop does not learn the sender's address, so its blocklists, SPF and limits see postern's", "use proxy=v2 or xclient=on in the URL, and allow it there; or remove xclient=off")
	}
	if hop.Network != "tcp" {
		if _, err := os.Stat(hop.Address); err != nil {
			w.add("next-hop", oserror.Text(err), "start the server that listens there, or name the path of its socket; mail is deferred until then")
		}
		return
	}
	host, port, err := net.SplitHostPort(hop.Address)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	found, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, address := range w.config.mailAddresses() {
		if i := slices.IndexFunc(found, func(ip netip.Addr) bool { return listensOn(address, ip.Unmap(), port) }); i >= 0 {
			w.add("next-hop", fmt.Sprintf("leads to postern itself, which listens on %s: each message would come back until it has too many Received fields", address), "name the server that stores the mail, at another address or port")
			return
		}
	}
}

// listensOn reports whether an address to listen on takes connections to ip and port.
func listensOn(address string, ip netip.Addr, port string) bool {
	host, listening, err := net.SplitHostPort(address)
	if err != nil || listening != port || port == "0" {
		return false
	}
	if host == "localhost" {
		return ip.IsLoopback()
	}
	own, err := netip.ParseAddr(cmp.Or(host, "::"))
	if err != nil {
		return false
	}
	if !own.IsUnspecified() {
		return own.Unmap() == ip
	}
	return ip.IsLoopback() || ip.IsUnspecified() || ofThisMachine(ip)
}

func ofThisMachine(ip netip.Addr) bool {
	addresses, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == ip
	})
}
