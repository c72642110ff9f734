package setup

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"postern/internal/certs"
)

// openSMTPDFile is where OpenSMTPD has its configuration on Linux.
const openSMTPDFile = "/etc/smtpd.conf"

// openSMTPDWord matches a word of smtpd.conf(5): a text, a table, a list or another one.
var openSMTPDWord = regexp.MustCompile(`"[^"]*"|<[^>]*>|\{[^}]*\}|#.*|[^\s"<{#]+`)

// An openSMTPD is what was read of the configuration of an OpenSMTPD.
type openSMTPD struct {
	macros  *strings.Replacer
	tables  map[string]string // the texts that define them
	listen  []openSMTPDListener
	matches []string // what mail of other machines has to match, as it is written: "domain <ours>"
}

// An openSMTPDListener is a line that opens a port.
type openSMTPDListener struct {
	line    string
	address string   // or the name of an interface
	port    string   // empty: 25, and 465 for implicit TLS
	options []string // what else is there
}

// findOpenSMTPD returns the OpenSMTPD of this machine, nil if there is none.
func findOpenSMTPD(ctx context.Context, _ *Machine) *server {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	usage, _ := exec.CommandContext(ctx, "smtpd", "-h").CombinedOutput() // its exit status is 1
	version := field(string(usage), "version: OpenSMTPD")
	if version == "" {
		return nil
	}
	content, err := os.ReadFile(openSMTPDFile)
	if err != nil {
		return &server{name: "OpenSMTPD", version: version, notes: []string{"Its configuration is not in " + openSMTPDFile + "."}}
	}
	name, _ := os.ReadFile("/etc/mailname") // without it, the system's
	s := readOpenSMTPD(string(content), strings.TrimSpace(string(name)))
	s.version = version
	return s
}

// readOpenSMTPD reads a configuration.
func readOpenSMTPD(configuration, hostname string) *server {
	s := &server{name: "OpenSMTPD", hostname: hostname}
	o := &openSMTPD{tables: make(map[string]string)}
	var macros []string
	keys, chains := make(map[string]string), make(map[string]string)
	unread := strings.Contains(configuration, "\\\n") // a line that goes on in the next one
	for line := range strings.Lines(configuration) {
		line = strings.TrimRight(line, "\n")
		words := openSMTPDWord.FindAllString(line, -1)
		if n := len(words); n > 0 && strings.HasPrefix(words[n-1], "#") {
			words = words[:n-1]
		}
		switch {
		case len(words) < 2:
		case len(words) == 3 && words[1] == "=":
			macros = append(macros, "$"+words[0], strings.Trim(words[2], `"`))
		case words[0] == "table":
			o.tables["<"+words[1]+">"] = strings.Join(words[2:], " ")
		case words[0] == "pki" && len(words) == 4:
			file := strings.Trim(words[3], `"`)
			switch words[2] {
			case "cert":
				chains[words[1]] = file
			case "key":
				keys[words[1]] = file
			}
		case words[0] == "listen" && words[1] == "on" && len(words) > 2 && words[2] != "socket":
			o.addListener(line, words[2:])
		case words[0] == "match":
			o.addMatch(words[1:])
		case words[0] == "include":
			unread = true
		}
	}
	o.macros = strings.NewReplacer(macros...)
	for name, cert := range chains {
		s.certificates = append(s.certificates, loadCertificates("OpenSMTPD", certs.Pair{CertFile: o.macros.Replace(cert), KeyFile: o.macros.Replace(keys[name])})...)
	}
	for _, match := range o.matches {
		o.addDomains(s, match)
	}
	tagged := slices.ContainsFunc(o.listen, func(l openSMTPDListener) bool {
		return l.takesMail() && (slices.Contains(l.options, "tag") || slices.Contains(l.options, "proxy-v2"))
	})
	switch {
	case unread:
		s.notes = append(s.notes, openSMTPDFile+" has parts that are not read here, included files or lines that go on in the next one: add the lines of docs/mail-servers.md by hand.")
	case o.matches == nil:
		s.notes = append(s.notes, openSMTPDFile+` has no rule "match from any for domain", so it receives no mail of other machines.`)
	case tagged:
		s.notes = append(s.notes, "Its port 25 has a tag or the PROXY protocol already: add the lines of docs/mail-servers.md by hand.")
	default:
		s.steps = o.handover
	}
	return s
}

// addListener adds a line that opens a port.
func (o *openSMTPD) addListener(line string, words []string) {
	l := openSMTPDListener{line: line, address: words[0], options: words[1:]}
	if i := slices.Index(l.options, "port"); i >= 0 && i+1 < len(l.options) {
		l.port = l.options[i+1]
		l.options = slices.Delete(slices.Clone(l.options), i, i+2)
	}
	o.listen = append(o.listen, l)
}

// takesMail reports whether other servers deliver there.
func (l openSMTPDListener) takesMail() bool {
	return l.port == "25" || l.port == "smtp" || l.port == "" && !slices.Contains(l.options, "smtps")
}

// local reports whether only this machine can connect there.
func (l openSMTPDListener) local() bool {
	ip, err := netip.ParseAddr(l.address)
	return l.address == "lo" || l.address == "localhost" || err == nil && ip.IsLoopback()
}

// addMatch adds a rule if it is for mail of clients that have not logged in.
func (o *openSMTPD) addMatch(words []string) {
	rule := strings.Join(words, " ")
	if !strings.Contains(rule, "from any") || slices.Contains(words, "auth") || slices.Contains(words, "reject") || slices.Contains(words, "!") {
		return
	}
	i := slices.Index(words, "for")
	switch {
	case i < 0 || i+1 == len(words):
		return
	case words[i+1] == "domain" && i+2 < len(words):
		rule = "domain " + words[i+2]
	case words[i+1] == "local":
		rule = "local"
	default:
		return
	}
	if !slices.Contains(o.matches, rule) {
		o.matches = append(o.matches, rule)
	}
}

// addDomains adds the domains that a rule is for.
func (o *openSMTPD) addDomains(s *server, match string) {
	list := strings.TrimPrefix(match, "domain ")
	if list == "local" {
		s.domains = append(s.domains, s.hostname)
		return
	}
	if strings.HasPrefix(list, "<") {
		list = o.tables[list]
	}
	list = o.macros.Replace(list)
	if file, isFile := strings.CutPrefix(strings.Trim(list, `"`), "file:"); isFile {
		s.domains = append(s.domains, firstWords(file)...)
		return
	}
	if kind, _, isTable := strings.Cut(list, ":"); isTable || list == "" {
		s.notes = append(s.notes, fmt.Sprintf("The domains in %s (%s) were not looked up: name them with --domain.", match, kind))
		return
	}
	s.domains = append(s.domains, words(strings.NewReplacer("{", " ", "}", " ", `"`, " ").Replace(list))...)
}

// handover gives Postern a port of its own, and leaves port 25 on loopback where it was there. The
// lines come before the first rule, where all that they may name is defined. The rule among them
// is the first, since those for mail from this machine would let a sender at 127.0.0.1 relay.
func (o *openSMTPD) handover(m *Machine) handover {
	door := m.freePort(o.ports())
	var smtp openSMTPDListener
	var edit []string
	for _, l := range slices.Backward(o.listen) {
		if l.takesMail() && !l.local() {
			smtp = l // the first one
			edit = append(edit, "sed -i "+quote("s#^"+pattern(l.line)+"$#\\#&#")+" "+openSMTPDFile)
		}
	}
	lines := []string{
		aboveDoor(door),
		strings.Join(append([]string{"listen on 127.0.0.1 port " + door + " proxy-v2 tag postern"}, smtp.withoutTLS()...), " "),
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		if edit != nil && m.listensOnLoopback(ip) && !o.listensOnLoopback(ip) {
			lines = append(lines, strings.Join(append([]string{"listen on " + ip}, smtp.options...), " "))
		}
	}
	ours := o.matches[0]
	if len(o.matches) > 1 {
		ours = `domain { "` + strings.Join(m.Domains, `", "`) + `" }`
	}
	lines = append(lines, "match tag postern from any ! for "+ours+" reject")
	const rule = "^[[:blank:]]*match"
	text := strings.ReplaceAll(strings.ReplaceAll(strings.Join(lines, "\n"), `\`, `\\`), "\n", "\\\n")
	edit = append(edit, unlessHas(openSMTPDFile, aboveDoor(door), "sed -i "+quote("0,/"+rule+"/{\n/"+rule+"/i\\\n"+text+"\n}")+" "+openSMTPDFile), "smtpd -n")
	restart := m.restart("opensmtpd", "# Restart OpenSMTPD, with what starts services here.")
	return handover{
		nextHop: "smtp://127.0.0.1:" + door + "?proxy=v2",
		sees:    "sees the sender's address by the PROXY protocol",
		leave:   slices.Concat([]string{keep(openSMTPDFile, beforePostern)}, edit, restart),
		back:    append([]string{restore(openSMTPDFile)}, restart...),
		stays:   true,
	}
}

// listensOnLoopback reports whether a line opens port 25 of an address of loopback only.
func (o *openSMTPD) listensOnLoopback(ip string) bool {
	return slices.ContainsFunc(o.listen, func(l openSMTPDListener) bool {
		return l.takesMail() && (l.address == ip || l.local() && l.address[0] == 'l') // localhost, or the interface lo
	})
}

// ports are those that it listens on.
func (o *openSMTPD) ports() (ports []string) {
	for _, l := range o.listen {
		ports = append(ports, l.port)
	}
	return ports
}

// withoutTLS returns the options of a listener but those for TLS and logins, which Postern's
// connections do not use.
func (l openSMTPDListener) withoutTLS() (options []string) {
	for i := 0; i < len(l.options); i++ {
		switch l.options[i] {
		case "tls", "tls-require", "verify", "inet4", "inet6":
		case "pki", "ca":
			i++
		case "auth", "auth-optional":
			if i+1 < len(l.options) && strings.HasPrefix(l.options[i+1], "<") {
				i++
			}
		default:
			options = append(options, l.options[i])
		}
	}
	return options
}
