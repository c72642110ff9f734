package setup

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"postern/internal/certs"
)

// A postfix is what was read of the configuration of a Postfix.
type postfix struct {
	folder    string
	processes int // that one service has at most; 0: no limit
	services  []postfixService
}

// A postfixService is a line of master.cf(5).
type postfixService struct {
	name, kind string // "smtp", "inet"
	chroot     string // "y", "n" or "-"
	processes  string
	command    string
	options    string // as they are written
}

// findPostfix returns the Postfix of this machine, nil if there is none.
func findPostfix(ctx context.Context, m *Machine) *server {
	version, err := output(ctx, "postconf", "-h", "mail_version")
	if err != nil {
		return nil
	}
	settings := postfixSettings(ctx, "config_directory", "myhostname", "default_process_limit", "smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_key_file")
	listed, err := output(ctx, "postconf", "-M")
	if err != nil {
		return nil
	}
	s := &server{name: "Postfix", version: version, hostname: settings["myhostname"], certificates: postfixCertificates(settings)}
	p := &postfix{folder: settings["config_directory"], services: postfixServices(listed)}
	p.processes, _ = strconv.Atoi(settings["default_process_limit"])
	for _, list := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"} {
		p.addDomains(ctx, s, list)
	}
	if _, receives := p.smtpd(); !receives {
		s.notes = append(s.notes, "It has no service on port 25 that receives mail of other machines.")
		return s
	}
	s.steps = p.handover
	return s
}

// postfixSettings returns settings with the values of the settings that they refer to.
func postfixSettings(ctx context.Context, names ...string) map[string]string {
	printed, _ := output(ctx, "postconf", append([]string{"-x"}, names...)...) // it prints those that it knows
	settings := make(map[string]string)
	for line := range strings.Lines(printed) {
		name, value, _ := strings.Cut(line, "=")
		settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return settings
}

func postfixServices(listed string) (services []postfixService) {
	for line := range strings.Lines(listed) {
		columns := strings.Fields(line)
		if len(columns) < 8 {
			continue
		}
		services = append(services, postfixService{
			columns[0], columns[1], columns[4], columns[6], columns[7], strings.Join(columns[8:], " "),
		})
	}
	return services
}

// hostPort returns the address and the port of an inet service; no address is all.
func (s postfixService) hostPort() (host, port string) {
	host, port, err := net.SplitHostPort(s.name)
	if err != nil {
		host, port = "", s.name
	}
	if port == "smtp" {
		port = "25"
	}
	return host, port
}

// onPort25 returns the services that take mail of other machines there.
func (p *postfix) onPort25() (found []postfixService) {
	for _, s := range p.services {
		host, port := s.hostPort()
		ip, err := netip.ParseAddr(host)
		if local := host == "localhost" || err == nil && ip.IsLoopback(); s.kind == "inet" && port == "25" && !local {
			found = append(found, s)
		}
	}
	return found
}

// smtpd returns the service whose settings mail from senders has: that of port 25, or the one
// that postscreen passes connections to.
func (p *postfix) smtpd() (postfixService, bool) {
	among := p.onPort25()
	if p.usesPostscreen() {
		among = slices.DeleteFunc(slices.Clone(p.services), func(s postfixService) bool { return s.kind != "pass" })
	}
	i := slices.IndexFunc(among, func(s postfixService) bool { return s.command == "smtpd" })
	if i < 0 {
		return postfixService{}, false
	}
	return among[i], true
}

func (p *postfix) usesPostscreen() bool {
	return slices.ContainsFunc(p.onPort25(), func(s postfixService) bool { return s.command == "postscreen" })
}

// postfixOverrides are the settings of the service for Postern, as docs/mail-servers.md explains
// them.
var postfixOverrides = []string{
	"syslog_name=postfix/door",
	"inet_protocols=all",
	"smtpd_upstream_proxy_protocol=haproxy",
	"smtpd_relay_restrictions=reject_unauth_destination",
	"smtpd_sasl_auth_enable=no",
	"smtpd_tls_security_level=none",
}

// handover gives Postern a service of its own, with the settings of the one on port 25, and
// leaves that port on loopback where it was there.
func (p *postfix) handover(m *Machine) handover {
	smtpd, _ := p.smtpd()
	address := net.JoinHostPort("127.0.0.1", m.freePort(p.ports()))
	master := p.folder + "/master.cf"
	service := func(address string) string {
		return "postconf -M " + quote(strings.TrimSpace(address+"/inet="+address+" inet n - "+smtpd.chroot+" - - smtpd "+smtpd.options))
	}
	h := handover{
		nextHop: "smtp://" + address + "?proxy=v2" + connectionsBelow(p.processes), // the new service has the default limit
		sees:    "sees the sender's address by the PROXY protocol",
		open:    []string{keep(master, beforePostern), service(address)},
		back:    []string{restore(master)},
		stays:   true,
	}
	for _, setting := range postfixOverrides {
		h.open = append(h.open, "postconf -P "+quote(address+"/inet/"+setting))
	}
	if p.usesPostscreen() {
		h.notes = append(h.notes, "postscreen no longer sees the senders: put its block lists into smtpd_recipient_restrictions, as reject_rbl_client.")
	}
	if m.running("Postfix") {
		h.open = append(h.open, "postfix reload")
	}
	for _, s := range p.onPort25() {
		h.leave = append(h.leave, "postconf -M# "+quote(s.name+"/inet"))
	}
	if h.leave != nil {
		for _, ip := range []string{"127.0.0.1", "::1"} {
			if address := net.JoinHostPort(ip, "25"); !p.has(address) && m.listensOnLoopback(ip) {
				h.leave = append(h.leave, service(address))
			}
		}
	}
	if m.running("Postfix") {
		// A reload would open the port on loopback before it closes that of all addresses, and fail.
		restart := m.restart("postfix", "postfix stop", "postfix start")
		h.leave = append(h.leave, restart...)
		h.back = append(h.back, restart...)
	}
	return h
}

// has reports whether there is an inet service of this name.
func (p *postfix) has(name string) bool {
	return slices.ContainsFunc(p.services, func(s postfixService) bool { return s.kind == "inet" && s.name == name })
}

// ports are those of the services.
func (p *postfix) ports() (ports []string) {
	for _, s := range p.services {
		if s.kind == "inet" {
			_, port := s.hostPort()
			ports = append(ports, port)
		}
	}
	return ports
}

// listable are the types of tables whose keys postmap can list, besides files.
var listable = []string{"hash", "btree", "cdb", "lmdb", "dbm", "sdbm", "texthash", "inline"}

// addDomains adds the domains in a setting of Postfix. Of the tables that it names some can be
// listed; of an alias table, those keys count that are domains.
func (p *postfix) addDomains(ctx context.Context, s *server, setting string) {
	for _, word := range words(postfixSettings(ctx, setting)[setting]) {
		kind, table, isTable := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":")
		switch {
		case strings.HasPrefix(word, "/"):
			s.domains = append(s.domains, firstWords(word)...)
		case isTable && slices.Contains(listable, kind):
			keys, err := output(ctx, "postmap", "-s", kind+":"+table)
			if err != nil {
				s.notes = append(s.notes, "The domains in "+word+" ("+setting+") could not be listed: name them with --domain.")
			}
			for key := range strings.Lines(keys) {
				if key, _, _ = strings.Cut(strings.TrimSpace(key), "\t"); !strings.Contains(key, "@") {
					s.domains = append(s.domains, key)
				}
			}
		case isTable:
			s.notes = append(s.notes, "The domains in "+word+" ("+setting+") cannot be listed here: name them with --domain.")
		case !strings.ContainsAny(word, "!$"):
			s.domains = append(s.domains, word)
		}
	}
}

// firstWords returns the first word of each line of a file, without comments.
func firstWords(path string) (found []string) {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if all := strings.Fields(lines.Text()); len(all) > 0 && !strings.HasPrefix(all[0], "#") {
			found = append(found, all[0])
		}
	}
	return found
}

// postfixCertificates returns what Postfix presents: the files of smtpd_tls_chain_files have
// key and certificates in one, or the key before its certificates.
func postfixCertificates(settings map[string]string) (found []certificate) {
	var pairs []certs.Pair
	if cert := settings["smtpd_tls_cert_file"]; cert != "" {
		pairs = append(pairs, certs.Pair{CertFile: cert, KeyFile: settings["smtpd_tls_key_file"]})
	}
	files := words(settings["smtpd_tls_chain_files"])
	for i, file := range files {
		pairs = append(pairs, certs.Pair{CertFile: file, KeyFile: file})
		if i > 0 {
			pairs = append(pairs, certs.Pair{CertFile: file, KeyFile: files[i-1]})
		}
	}
	return loadCertificates("Postfix", pairs...)
}
