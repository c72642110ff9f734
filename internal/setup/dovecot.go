package setup

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"postern/internal/certs"
)

// userdb matches a block that says where users are, and has its driver.
var userdb = regexp.MustCompile(`(?m)^userdb \{\n(?:  .*\n)*?  driver = (.*)\n`)

// ofSystem reports whether all mailboxes are those of the system's users.
func ofSystem(configuration string) bool {
	blocks := userdb.FindAllStringSubmatch(configuration, -1)
	return blocks != nil && !slices.ContainsFunc(blocks, func(block []string) bool { return block[1] != "passwd" })
}

// findDovecot returns the Dovecot of this machine if it takes mail by LMTP, nil if not.
func findDovecot(ctx context.Context, m *Machine) *server {
	version, err := output(ctx, "dovecot", "--version")
	if err != nil {
		return nil
	}
	setting := func(name string) string {
		value, _ := output(ctx, "doveconf", "-h", name) // empty if it does not exist
		return value
	}
	version, _, _ = strings.Cut(version, " ")
	s := &server{name: "Dovecot", version: version}
	trim := func(file string) string { return strings.TrimPrefix(file, "<") }
	s.certificates = loadCertificates("Dovecot", certs.Pair{CertFile: trim(setting("ssl_cert")), KeyFile: trim(setting("ssl_key"))})
	if !slices.Contains(words(setting("protocols")), "lmtp") {
		s.notes = append(s.notes, "It does not take mail by LMTP: on Debian, install dovecot-lmtpd.")
		return s
	}
	const folder = "/etc/dovecot/conf.d"
	if !isFolder(folder) {
		s.notes = append(s.notes, "There is no "+folder+": see docs/mail-servers.md for the lines of its configuration.")
		return s
	}
	whole, _ := output(ctx, "doveconf", "-n")
	d := &dovecot{file: filepath.Join(folder, "99-postern.conf"), base: setting("base_dir"), systemUsers: ofSystem(whole + "\n")}
	s.steps = d.handover
	return s
}

// A dovecot is what was read of the configuration of a Dovecot.
type dovecot struct {
	file        string // for the lines about Postern
	base        string // the folder of its sockets
	systemUsers bool   // whose names have no domain
}

// handover gives Postern a socket of its own. Dovecot does not listen on port 25.
func (d *dovecot) handover(*Machine) handover {
	lines := []string{
		"# The socket to which Postern delivers.",
		"service lmtp {",
		"  unix_listener lmtp-postern {",
		"    user = postern",
		"    mode = 0600",
		"  }",
		"}",
	}
	if d.systemUsers {
		lines = append(lines,
			"# Mailboxes are those of the system's users, whose names have no domain.",
			"protocol lmtp {",
			"  auth_username_format = %Ln",
			"}")
	}
	return handover{
		nextHop: "lmtp+unix://" + filepath.Join(d.base, "lmtp-postern"),
		sees:    "stores it",
		open:    []string{writeFile(d.file, strings.Join(lines, "\n")+"\n"), "doveadm reload"},
		back:    []string{"rm " + quote(d.file), "doveadm reload"},
		notes: []string{
			"Neither Dovecot nor Postern checks SPF, DKIM and block lists.",
			"Dovecot needs a mailbox or an alias for postmaster of each domain.",
		},
	}
}
