package testpeer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/internal/testcert"
)

// PostfixOptions says how a Postfix that receives is set up.
type PostfixOptions struct {
	// Cert is what it serves STARTTLS with; nil does without TLS.
	Cert *testcert.Pair
	// Domains are those it takes mail for; nil means localhost.
	Domains []string
	// Users are the addresses it knows; nil means every one in Domains.
	Users []string
	// XCLIENT offers that command to clients on loopback.
	XCLIENT bool
	// Service opens a second listener: an entry of master.cf(5) without the
	// address in front, such as "inet n - n - - smtpd -o name=value". It may go
	// on over more lines.
	Service string
	// Config are further lines of main.cf.
	Config []string
}

// Postfix is a mail server that takes mail and delivers all of it to one Maildir.
type Postfix struct {
	Addr        string // where it speaks SMTP
	ServiceAddr string // the second listener's; empty without Service
	Maildir     Maildir

	instance *postfixInstance
}

// StartPostfix starts a Postfix that receives.
func StartPostfix(t T, o PostfixOptions) *Postfix {
	t.Helper()
	dir := newFolder(t)
	requireRoot(t, "postfix")
	p := &Postfix{Addr: freeAddr(t), Maildir: Maildir(dir.path("mail/box"))}
	dir.mkdir(t, "mail", "nobody")
	services := []string{p.Addr + " inet n - n - - smtpd"}
	if o.Service != "" {
		p.ServiceAddr = freeAddr(t)
		services = append(services, p.ServiceAddr+" "+o.Service)
	}
	p.instance = startPostfix(t, dir, append(receiverSettings(t, dir, o), o.Config...), services)
	awaitGreeting(t, p.instance.daemon, "tcp", p.Addr)
	return p
}

// Log returns what Postfix has logged so far.
func (p *Postfix) Log() string { return readLog(p.instance.log) }

// AwaitLog waits for a line with text in the log, which Postfix writes a moment
// after what it tells of, and returns the first such line.
func (p *Postfix) AwaitLog(t T, text string) string {
	t.Helper()
	found := ""
	await(t, p.instance.daemon, strconv.Quote(text)+" in the log", func() error {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, text) {
				found = strings.TrimSpace(line)
				return nil
			}
		}
		return errors.New("not there")
	})
	return found
}

// AwaitMessages waits until at least n messages stand in the Maildir, since
// Postfix acknowledges a message when it is queued, and returns their texts.
func (p *Postfix) AwaitMessages(t T, n int) []string {
	t.Helper()
	var messages []string
	await(t, p.instance.daemon, strconv.Itoa(n)+" messages", func() error {
		if got := p.Maildir.Count(t); got < n {
			return fmt.Errorf("%d of %d have arrived", got, n)
		}
		messages = p.Maildir.Messages(t)
		return nil
	})
	return messages
}

// receiverSettings are the lines of main.cf for a Postfix that receives.
func receiverSettings(t T, dir folder, o PostfixOptions) []string {
	t.Helper()
	uid, gid := account(t, "nobody")
	settings := []string{
		"myhostname = backend.test",
		"virtual_mailbox_domains = " + strings.Join(orLocalhost(o.Domains), " "),
		"virtual_mailbox_base = " + dir.path("mail"),
		"virtual_mailbox_maps = " + mailboxes(o.Users),
		fmt.Sprintf("virtual_uid_maps = static:%d", uid),
		fmt.Sprintf("virtual_gid_maps = static:%d", gid),
		"smtpd_relay_restrictions = reject_unauth_destination",
	}
	if o.XCLIENT {
		settings = append(settings, "smtpd_authorized_xclient_hosts = 127.0.0.0/8")
	}
	if o.Cert != nil {
		settings = append(settings,
			"smtpd_tls_security_level = may",
			"smtpd_tls_chain_files = "+o.Cert.KeyFile+", "+o.Cert.CertFile,
			"smtpd_tls_loglevel = 1",
			"smtpd_tls_received_header = yes",
		)
	}
	return settings
}

func orLocalhost(domains []string) []string {
	if domains == nil {
		return []string{"localhost"}
	}
	return domains
}

// mailboxes is a table that leads each user, or everyone, to the Maildir.
func mailboxes(users []string) string {
	if users == nil {
		return "static:box/"
	}
	entries := make([]string, len(users))
	for i, user := range users {
		entries[i] = "{" + user + " = box/}"
	}
	return "inline:{" + strings.Join(entries, ", ") + "}"
}
