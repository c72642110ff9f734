package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postern/internal/durable"
	"postern/internal/listening"
)

// A Plan is how Postern comes in front of the mail server.
type Plan struct {
	Files []File // Postern's own, which [Plan.Write] writes

	machine *Machine
	behind  *server // nil: Postern stores mail in a Maildir
	handover
	certificates []certificate // those that are copied
}

// A File is one to write.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content string
}

// What Postern uses on a server, as its unit does.
const (
	ownFolder = "/etc/postern"
	ownConfig = ownFolder + "/postern.toml"
	ownCopy   = ownFolder + "/copy-certificates"
	ownData   = "/var/lib/postern"
)

// An Error is why there is no plan.
type Error struct {
	What   string
	remedy string
}

func (e *Error) Error() string { return "setup: " + e.What }

// Remedy says what to do about it.
func (e *Error) Remedy() string { return e.remedy }

// Plan plans. The error is an *[Error].
func (m *Machine) Plan() (*Plan, error) {
	behind, known := m.server()
	switch {
	case strings.HasPrefix(m.port25(), "Postern "): // what is behind it has left the port
		return nil, &Error{m.port25() + " listens on port 25 already", "examine it with postern doctor; to plan again, stop it first"}
	case !known && m.unseen():
		return nil, &Error{"a program of another user listens on port 25", "run postern setup as root, which sees what program that is"}
	case !known:
		return nil, &Error{fmt.Sprintf("%s listens on port 25, and there are plans for Postfix, Exim, OpenSMTPD, Dovecot, maddy and chasquid only", m.port25()),
			"see docs/mail-servers.md, Another server by SMTP"}
	case behind != nil && behind.steps == nil:
		return nil, &Error{"no plan for " + behind.name + ": " + strings.Join(behind.notes, " "), "see docs/mail-servers.md"}
	case m.Hostname == "" && len(m.Domains) == 0:
		return nil, &Error{"neither the name of this machine in the MX records nor the domains that it receives mail for are known",
			"name them with --hostname mx.example.org --domain example.org"}
	case m.Hostname == "":
		return nil, &Error{"the name of this machine in the MX records is not known", "name it with --hostname mx.example.org"}
	case len(m.Domains) == 0:
		return nil, &Error{"the domains that this machine receives mail for are not known", "name them with --domain example.org"}
	}
	p := &Plan{machine: m, behind: behind}
	if behind != nil {
		p.handover = behind.steps(m)
	}
	if m.Addresses == nil && p.stays { // port 25 of all addresses is that of loopback too
		return nil, &Error{"this machine has no address that other machines can use, and " + behind.name + " stays on port 25 of loopback",
			"connect the machine to its network, and run postern setup again; see ip address"}
	}
	for _, c := range m.certificates {
		if !open(c.pair.KeyFile) || !open(c.pair.CertFile) {
			p.certificates = append(p.certificates, c)
		}
	}
	p.Files = []File{{ownConfig, 0o644, p.config()}}
	if len(p.certificates) > 0 {
		p.Files = append(p.Files, File{ownCopy, 0o755, p.copyScript()})
	}
	return p, nil
}

// port25 names the programs that listen on port 25, for people.
func (m *Machine) port25() string {
	var found []string
	for _, socket := range listening.On(m.sockets, smtpPort) {
		if !socket.Address.Addr().IsLoopback() && !slices.Contains(found, socket.Process.String()) {
			found = append(found, socket.Process.String())
		}
	}
	return strings.Join(found, ", ")
}

// unseen reports whether a program listens on port 25 of which this user sees nothing.
func (m *Machine) unseen() bool {
	return slices.ContainsFunc(listening.On(m.sockets, smtpPort), func(s listening.Socket) bool {
		return !s.Address.Addr().IsLoopback() && s.Process.ID == 0
	})
}

// config is the configuration file.
func (p *Plan) config() string {
	m := p.machine
	var listen []string
	for _, ip := range m.Addresses {
		listen = append(listen, net.JoinHostPort(ip.String(), fmt.Sprint(smtpPort)))
	}
	switch {
	case listen == nil:
		listen = []string{fmt.Sprintf(":%d", smtpPort)}
	case p.leave != nil && !p.stays && m.listensOnLoopback("127.0.0.1"):
		listen = append(listen, fmt.Sprintf("127.0.0.1:%d", smtpPort)) // programs of the machine send mail there
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by postern setup. Other keys have their defaults.\n\n")
	fmt.Fprintf(&b, "hostname = %q\ndomains = %s\nlisten = %s\ndata = %q\n", m.Hostname, list(m.Domains), list(listen), ownData)
	if p.nextHop != "" {
		fmt.Fprintf(&b, "next-hop = %q\n", p.nextHop)
	}
	var addresses []string
	for _, domain := range m.Domains {
		addresses = append(addresses, reports(domain))
	}
	fmt.Fprintf(&b, "\n# Postern stores TLS reports; postern report shows them.\n[reports]\naddresses = %s\ndelivery = \"only\"\n", list(addresses))
	for _, c := range m.certificates {
		pair := c.pair
		if slices.Contains(p.certificates, c) {
			pair = c.copied()
		}
		fmt.Fprintf(&b, "\n[[certificate]]\ncert = %q\nkey = %q\n", pair.CertFile, pair.KeyFile)
	}
	if len(m.certificates) == 0 {
		fmt.Fprintf(&b, "\n# There is no certificate for %s yet: Postern makes a self-signed\n", m.Hostname)
		b.WriteString("# one, which most senders accept. It obtains one from Let's Encrypt if you remove the # below,\n")
		b.WriteString("# and port 80 of this machine can be reached and is free.\n")
		b.WriteString("#[web]\n#listen-plain = [\":80\"]\n#[acme]\n")
	}
	return b.String()
}

// reports is the address for TLS reports about a domain.
func reports(domain string) string { return "tls-reports@" + domain }

// list is a list in TOML. None of its texts needs other escapes than Go's.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// copyScript is the program that copies certificates to where Postern can read them.
func (p *Plan) copyScript() string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Copies certificates to where Postern can read them, after they were renewed.\n# Postern loads them by itself.\nset -e\n")
	for _, c := range p.certificates {
		to := c.copied()
		fmt.Fprintf(&b, "install -m 640 -g postern %s %s\n", quote(c.pair.CertFile), quote(to.CertFile))
		fmt.Fprintf(&b, "install -m 640 -g postern %s %s\n", quote(c.pair.KeyFile), quote(to.KeyFile))
	}
	return b.String()
}

// Write writes the files. A configuration that sets nothing, as packages install it, is saved
// beside the new one. Another file that exists with another content stays, and is an *[Error]:
// nothing is written then.
func (p *Plan) Write() (written []string, err error) {
	var missing []File
	for _, f := range p.Files {
		content, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, f)
		case err != nil:
			return nil, fmt.Errorf("setup: %w", err)
		case string(content) == f.Content:
		case setsNothing(string(content)):
			if kept := f.Path + beforeSetup; !exists(kept) {
				missing = append(missing, File{kept, f.Mode, string(content)})
			}
			missing = append(missing, f)
		default:
			return nil, &Error{f.Path + " exists already, with another content", "move it away, or change it by hand: postern setup without --write prints what it should have"}
		}
	}
	for _, f := range missing {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return written, fmt.Errorf("setup: %w", err)
		}
		if err := durable.WriteFile(f.Path, []byte(f.Content), f.Mode); err != nil {
			return written, fmt.Errorf("setup: %w", err)
		}
		written = append(written, f.Path)
	}
	return written, nil
}

// beforeSetup ends the names under which Postern's own files are kept.
const beforeSetup = ".before-setup"

// setsNothing reports whether a configuration has comments only, besides the data folder.
func setsNothing(configuration string) bool {
	for line := range strings.Lines(configuration) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && line != fmt.Sprintf("data = %q", ownData) {
			return false
		}
	}
	return true
}
