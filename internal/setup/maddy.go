package setup

import (
	"context"
	"os"
	"regexp"
	"strings"

	"postern/internal/certs"
)

// maddyFile is where maddy's packages and its container have the configuration.
const maddyFile = "/etc/maddy/maddy.conf"

// Lines of maddy.conf: macros, and the block that receives mail on port 25.
var (
	maddyMacro = regexp.MustCompile(`(?m)^\$\(([a-z0-9_]+)\)\s*=\s*(.*?)\s*$`)
	maddyName  = regexp.MustCompile(`(?m)^hostname\s+(\S+)`)
	maddyTLS   = regexp.MustCompile(`(?m)^tls\s+file\s+(\S+)\s+(\S+)\s*$`)
	maddySMTP  = regexp.MustCompile(`(?m)^smtp\s+tcp://\S*:25\s*\{[ \t]*$`)
)

// findMaddy returns the maddy of this machine, nil if there is none.
func findMaddy(ctx context.Context, _ *Machine) *server {
	content, err := os.ReadFile(maddyFile)
	if err != nil {
		return nil
	}
	version, _ := output(ctx, "maddy", "version") // the configuration is enough
	version, _, _ = strings.Cut(version, " ")
	s := readMaddy(string(content))
	s.version = strings.TrimPrefix(version, "v")
	return s
}

// readMaddy reads a configuration.
func readMaddy(configuration string) *server {
	macros := make(map[string]string)
	expand := func(text string) string {
		for name, value := range macros {
			text = strings.ReplaceAll(text, "$("+name+")", value)
		}
		return text
	}
	for _, found := range maddyMacro.FindAllStringSubmatch(configuration, -1) {
		macros[found[1]] = expand(found[2]) // macros refer to those above them
	}
	s := &server{name: "maddy", domains: words(macros["local_domains"] + " " + macros["primary_domain"])}
	if found := maddyName.FindStringSubmatch(configuration); found != nil {
		s.hostname = expand(found[1])
	}
	for _, found := range maddyTLS.FindAllStringSubmatch(configuration, -1) {
		s.certificates = append(s.certificates, loadCertificates("maddy", certs.Pair{CertFile: expand(found[1]), KeyFile: expand(found[2])})...)
	}
	line := maddySMTP.FindString(configuration)
	if line == "" {
		s.notes = append(s.notes, maddyFile+" has no block smtp with one address on port 25.")
		return s
	}
	s.steps = func(m *Machine) handover { return maddyHandover(m, line) }
	return s
}

// maddyHandover moves the block smtp to a port of loopback, where it expects a PROXY header.
func maddyHandover(m *Machine, line string) handover {
	address := "127.0.0.1:" + m.freePort(nil)
	block := "smtp tcp://" + address + ` {\n    tls off\n    proxy_protocol {\n        trust 127.0.0.1\n    }`
	restart := m.restart("maddy", "# Restart maddy, with what starts services here.")
	return handover{
		nextHop: "smtp://" + address + "?proxy=v2",
		sees:    "sees the sender's address by the PROXY protocol",
		leave: append([]string{
			keep(maddyFile, beforePostern),
			"sed -i " + quote("s#^"+pattern(strings.TrimRight(line, " \t"))+"[[:blank:]]*$#"+block+"#") + " " + maddyFile,
		}, restart...),
		back: append([]string{restore(maddyFile)}, restart...),
	}
}

// pattern returns text as a basic regular expression of sed with # as its delimiter.
func pattern(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`.[]*^$\#`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
