package testpeer

import (
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"

	"postern/internal/testcert"
)

// DovecotOptions configure a Dovecot. It rejects other recipients than its users at RCPT with
// 550.
type DovecotOptions struct {
	Users []string // addresses; nil: user@localhost
	Full  []string // addresses over quota: 250 to RCPT, 552 after DATA

	// Cert is for IMAP and POP3, where no user can log in; nil: without both.
	Cert *testcert.Pair

	// Config are further lines of dovecot.conf.
	Config string
}

// A Dovecot is a mail store that receives mail by LMTP over a Unix socket.
type Dovecot struct {
	Socket string // path of the LMTP socket, open to all users

	// Addresses of IMAP and POP3, with STARTTLS and with implicit TLS; empty without Cert.
	IMAP, IMAPS, POP3, POP3S string

	config string
	daemon *daemon
}

// StartDovecot starts a Dovecot.
func StartDovecot(t T, o DovecotOptions) *Dovecot {
	t.Helper()
	if o.Users == nil {
		o.Users = []string{"user@localhost"}
	}
	dir := newFolder(t)
	dir.mkdir(t, "mail", "nobody")
	dir.write(t, "users", dovecotUsers(o)...)
	d := &Dovecot{Socket: dir.path("run/lmtp")}
	if o.Cert != nil {
		d.IMAP, d.IMAPS, d.POP3, d.POP3S = FreeAddr(t), FreeAddr(t), FreeAddr(t), FreeAddr(t)
		o.Config += d.mailboxes(t, o.Cert)
	}
	d.config = dir.write(t, "dovecot.conf", dovecotConfig(t, dir), o.Config)
	log := dir.path("dovecot.log")
	d.daemon = startDaemon(t, "dovecot", dir, exec.Command(program(t, "dovecot"), "-F", "-c", d.config), log)
	awaitGreeting(t, d.daemon, "unix", d.Socket) // when LMTP greets, all listeners are open
	return d
}

// Fetch returns the texts of the messages in a user's INBOX, in their order,
// as doveadm reads them. Lines end in LF.
func (d *Dovecot) Fetch(t T, user string) []string {
	t.Helper()
	cmd := exec.Command(program(t, "doveadm"), "-c", d.config, "-f", "json", "fetch", "-u", user, "text", "mailbox", "INBOX")
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("testpeer: doveadm fetch: %v; %s", err, d.daemon.explain())
	}
	var fetched []struct{ Text string }
	if err := json.Unmarshal(output, &fetched); err != nil {
		t.Fatalf("testpeer: doveadm fetch said %q: %v", output, err)
	}
	var texts []string
	for _, message := range fetched {
		texts = append(texts, strings.ReplaceAll(message.Text, "\r\n", "\n"))
	}
	return texts
}

// mailboxes returns the configuration of IMAP and POP3.
func (d *Dovecot) mailboxes(t T, cert *testcert.Pair) string {
	t.Helper()
	words := []string{"CERT-FILE", cert.CertFile, "KEY-FILE", cert.KeyFile}
	for name, addr := range map[string]string{"IMAP": d.IMAP, "IMAPS": d.IMAPS, "POP3": d.POP3, "POP3S": d.POP3S} {
		_, port := splitAddr(t, addr)
		words = append(words, name+"-PORT", port)
	}
	return strings.NewReplacer(words...).Replace(dovecotMailboxes)
}

const dovecotMailboxes = `
protocols = lmtp imap pop3
ssl = yes
ssl_cert = <CERT-FILE
ssl_key = <KEY-FILE
service imap-login {
  inet_listener imap {
    port = IMAP-PORT
  }
  inet_listener imaps {
    port = IMAPS-PORT
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = POP3-PORT
  }
  inet_listener pop3s {
    port = POP3S-PORT
    ssl = yes
  }
}
`

// dovecotUsers returns the lines of a passwd-file. A quota of one byte is always exceeded.
func dovecotUsers(o DovecotOptions) []string {
	var lines []string
	for _, user := range slices.Concat(o.Users, o.Full) {
		line := user + ":{PLAIN}unused::::::"
		if slices.Contains(o.Full, user) {
			line += "userdb_quota_rule=*:storage=1B"
		}
		lines = append(lines, line)
	}
	return lines
}

// dovecotConfig returns the configuration for a Dovecot in dir.
func dovecotConfig(t T, dir folder) string {
	t.Helper()
	mailUser, mailGroup, more := "nobody", "nogroup", ""
	if os.Geteuid() != 0 {
		mailUser, mailGroup = currentAccount(t)
		more = strings.NewReplacer("USER", mailUser, "GROUP", mailGroup).Replace(dovecotRootless)
	}
	return strings.NewReplacer("DIR", string(dir), "USER", mailUser, "GROUP", mailGroup, "MORE", more).Replace(dovecotTemplate)
}

// currentAccount returns the names of the user and group that the test runs as.
func currentAccount(t T) (name, group string) {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return u.Username, g.Name
}

const dovecotTemplate = `protocols = lmtp
listen = 127.0.0.1
ssl = no
base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/dovecot.log
mail_location = maildir:DIR/mail/%u
mail_uid = USER
mail_gid = GROUP
first_valid_uid = 1
first_valid_gid = 1
mail_plugins = quota
plugin {
  quota = count:mailbox
  quota_vsizes = yes
  quota_grace = 0
}
passdb {
  driver = passwd-file
  args = DIR/users
}
userdb {
  driver = passwd-file
  args = DIR/users
}
MORE`

// dovecotRootless configures Dovecot not to change users, which it cannot without root.
const dovecotRootless = `default_internal_user = USER
default_internal_group = GROUP
default_login_user = USER
service anvil {
  chroot =
}
service stats {
  chroot =
}
`
