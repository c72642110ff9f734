package test

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

const (
	mxAddress     = "192.0.2.25"   // of the machine, and of its name
	remoteAddress = "198.51.100.7" // of a sender
)

// An administrator has a machine with Postfix, which passes mail to Dovecot, and certificates
// of certbot. The plan that postern setup prints, run as it is, puts Postern in front of it:
// Postfix sees the senders, programs of the machine go on sending through port 25 of loopback,
// and the way back restores what was there. postern doctor finds nothing to do then, and finds
// what somebody breaks afterwards.
func TestSetupPutsPosternInFrontOfPostfixAndDovecot(t *testing.T) {
	t.Parallel()
	m := startMailServer(t)
	m.certbot()
	m.write("/etc/dovecot/local.conf", dovecotWithUsers+`service lmtp {
  unix_listener /var/spool/postfix/private/dovecot-lmtp {
    user = postfix
    mode = 0600
  }
}
`)
	m.write("/etc/postfix/domains", "# our customers\nexample.net anything\n")
	m.run("postconf -e myhostname=mx.example.org mydestination=localhost.example.org,localhost maillog_file=/var/log/mail.log" +
		" 'virtual_mailbox_domains=example.org hash:/etc/postfix/domains' virtual_transport=lmtp:unix:private/dovecot-lmtp" +
		" && postmap /etc/postfix/domains && postfix start && dovecot")
	m.deliver(remoteAddress, mxAddress, "before")
	before := m.run("postconf -M")

	plan := m.run("postern setup")
	for _, want := range []string{"#   port 25       Postfix (process ", "#   certificate   /etc/letsencrypt/live/mx.example.org/fullchain.pem: ECDSA",
		`domains = ["example.org", "example.net"]`, `listen = ["192.0.2.25:25"]`, "#    example.org.\t3600\tIN\tMX\t10 mx.example.org."} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	if after := m.run("postconf -M"); after != before {
		t.Error("postern setup changed Postfix")
	}
	m.follow(plan)
	m.follow(plan) // as after a step that failed
	p := m.serve()
	if line := p.await(0, "  certificate "); !strings.Contains(line, "ECDSA for mx.example.org") {
		t.Errorf("it does not use the certificate of certbot: %s", line)
	}
	m.deliver(remoteAddress, mxAddress, "through Postern")
	if received := m.received("ann@example.org", "through Postern"); !strings.Contains(received, "["+remoteAddress+"]") || !strings.Contains(received, "(Postern)") {
		t.Errorf("Received fields:\n%s", received)
	}
	m.deliver("127.0.0.1", "127.0.0.1", "from a program of the machine")
	m.received("ann@example.org", "from a program of the machine")
	m.refused(remoteAddress, mxAddress, "not accepting mail for this domain")

	m.examined(0, "no problems", "the next hop saw its sender at "+mxAddress)
	if left := m.run("doveadm search -u ann@example.org mailbox INBOX subject doctor"); left != "" {
		t.Errorf("postern doctor left its message: %s", left)
	}
	m.run("postconf -P 127.0.0.1:10025/inet/smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination && postfix stop && postfix start")
	m.examined(1, "WARNING", "The next hop relays mail from Postern to any domain")

	m.stop(p)
	m.examined(2, "CRITICAL", "Nothing listens on "+mxAddress+":25")
	m.run(wayBack(t, plan))
	m.deliver(remoteAddress, mxAddress, "afterwards")
	if after := m.run("postconf -M"); after != before {
		t.Errorf("the way back left other services of Postfix:\n%s\nwant\n%s", after, before)
	}
}

// Dovecot, as Debian installs it, stores the mail of the machine's users, and no mail server is
// there.
func TestSetupPutsPosternInFrontOfDovecot(t *testing.T) {
	t.Parallel()
	m := startMailServer(t)
	m.run("useradd --create-home ann && mv /etc/postfix /etc/postfix.removed && dovecot")
	plan := m.run("postern setup --write --hostname mx.example.org --domain example.org 2>/run/notes")
	if notes := m.run("cat /run/notes"); notes != "postern: wrote /etc/postern/postern.toml\n" || strings.Contains(plan, ">/etc/postern/postern.toml") {
		t.Errorf("it said %q, and the plan is\n%s", notes, plan)
	}
	m.follow(plan)
	p := m.serve()
	m.deliver(remoteAddress, mxAddress, "through Postern")
	m.received("ann", "through Postern")
	m.examined(1, "The test message arrived in Dovecot's mailbox of ann.", "The next hop refuses mail for postmaster@example.org")
	if left := m.run("doveadm search -u ann mailbox INBOX subject doctor"); left != "" {
		t.Errorf("postern doctor left its message: %s", left)
	}
	m.stop(p)
	m.run(wayBack(t, plan))
	if left := m.run("ls /etc/dovecot/conf.d"); strings.Contains(left, "postern") {
		t.Errorf("the way back left files: %s", left)
	}
}

// startMailServer starts a machine that DNS knows as the MX host of two domains, with more records
// if they are given.
func startMailServer(t *testing.T, records ...string) *machine {
	t.Helper()
	m := startMachine(t, mxAddress+"/32", remoteAddress+"/32")
	m.nameserver(append(records, "example.org. MX 10 mx.example.org.", "example.net. MX 10 mx.example.org.", "mx.example.org. A "+mxAddress,
		`_smtp._tls.example.org. TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.org"`, `_smtp._tls.example.net. TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.net"`)...)
	return m
}

// dovecotWithUsers gives every address a mailbox.
const dovecotWithUsers = `mail_location = maildir:/var/mail/%u
first_valid_uid = 1
userdb {
  driver = static
  args = allow_all_users=yes uid=nobody gid=nogroup home=/var/mail/%u
}
`

// certbot leaves a certificate for the machine as certbot does: readable by root only. The
// machine trusts its authority. It has other names, if they are given.
func (m *machine) certbot(others ...string) {
	m.t.Helper()
	const live = "/etc/letsencrypt/live/mx.example.org/"
	m.authority(live+"fullchain.pem", live+"privkey.pem", append(others, "mx.example.org")...)
	m.run("chmod 700 /etc/letsencrypt/live")
}

// follow runs a plan, as the administrator would after reading it.
func (m *machine) follow(plan string) {
	m.t.Helper()
	m.write("/run/plan.sh", plan)
	m.run("sh -eux /run/plan.sh")
}

// wayBack returns the commands with which a plan says to go back.
func wayBack(t *testing.T, plan string) string {
	t.Helper()
	_, back, found := strings.Cut(plan, "# To go back:\n")
	if !found {
		t.Fatalf("the plan has no way back:\n%s", plan)
	}
	return strings.ReplaceAll("\n"+back, "\n#    ", "\n")
}

// deliver delivers a message from an address of the machine to port 25 of another. A server that was
// told to reload may not listen yet.
func (m *machine) deliver(from, to, subject string) {
	m.t.Helper()
	m.eventually("swaks --server " + to + " --local-interface " + from + " --tls-optional --helo sender.test --from someone@sender.test --to ann@example.org --header 'Subject: " + subject + "'")
}

// refused checks that mail for a foreign domain is refused.
func (m *machine) refused(from, to, words string) {
	m.t.Helper()
	printed, err := m.output("swaks --server " + to + " --local-interface " + from + " --helo sender.test --from someone@sender.test --to someone@foreign.test")
	if err == nil || !strings.Contains(printed, words) {
		m.t.Errorf("mail for a foreign domain: %v, want %q:\n%s", err, words, printed)
	}
}

// received waits for a message in a mailbox, and returns its Received fields.
func (m *machine) received(mailbox, subject string) string {
	m.t.Helper()
	return m.eventually("doveadm fetch -u " + mailbox + " hdr.received mailbox INBOX header subject '" + subject + "' | grep .")
}

// examined runs postern doctor, and checks its exit status and what it prints.
func (m *machine) examined(status int, words ...string) {
	m.t.Helper()
	printed := m.run("status=0; postern doctor --deliver ann@example.org || status=$?; echo exit status $status")
	folded := strings.Join(strings.Fields(printed), " ")
	for _, want := range append(words, fmt.Sprint("exit status ", status)) {
		if !strings.Contains(folded, want) {
			m.t.Errorf("postern doctor: no %q in\n%s", want, printed)
		}
	}
}

// There is no plan for mox, which could not learn who the sender is. Whoever needs Postern there
// all the same follows the documentation: mail that mox refuses for Postern's address arrives.
func TestSetupLeavesMoxAlone(t *testing.T) {
	t.Parallel()
	const section, behindPostern = "mox: better without Postern", "127.0.0.1:10025"
	m := startMailServer(t, "sender.test. MX 10 mx.sender.test.", "mx.sender.test. A "+remoteAddress, `sender.test. TXT "v=spf1 ip4:`+remoteAddress+` -all"`, `_dmarc.sender.test. TXT "v=DMARC1; p=reject"`)
	m.run("cp " + testpeer.BuiltProgram(t, "mox", "v0.0.17") + " /usr/local/bin/mox && useradd --system mox && install -d -o mox /srv/mox/data")
	settings := fmt.Sprintf(moxSettings, mxAddress)
	m.write("/srv/mox/config/mox.conf", settings)
	m.write("/srv/mox/config/domains.conf", moxAccounts+"\t\t\tann@example.org: nil\n")
	start := func(address string) { // again if it ends, as its unit does: it waits a few seconds only for its databases
		m.run(`setsid sh -c 'echo $$ >/run/mox.pid; cd /srv/mox; until mox serve; do :; done >/var/log/mox.log 2>&1' &`)
		m.eventually("swaks --server " + address + " --quit-after HELO || { cat /var/log/mox.log; false; }")
	}
	stop := func() {
		m.run("perl -e 'kill KILL => -$ARGV[0]' $(cat /run/mox.pid)") // all of its processes
		m.eventually("! swaks --server " + mxAddress + " --quit-after CONNECT")
	}
	start(mxAddress)
	if printed, err := m.output("postern setup"); exitStatus(err) != 1 || !strings.Contains(printed, "no plan for mox") || !strings.Contains(printed, "This is v0.0.17") {
		t.Errorf("postern setup: %v\n%s", err, printed)
	}
	m.deliver(remoteAddress, mxAddress, "before")
	stop()

	m.write("/srv/mox/config/mox.conf", strings.Replace(settings, "Listeners:\n", "Listeners:\n"+recipe(t, mailServers, section, "config/mox.conf, below Listeners (tabs, not spaces)")+"\n", 1))
	start(behindPostern)
	m.run("useradd --system --home-dir /var/lib/postern postern && mkdir -p /etc/postern && install -d -o postern -g postern /var/lib/postern")
	m.write("/etc/postern/postern.toml", "data = \"/var/lib/postern\"\n"+recipe(t, mailServers, section, "/etc/postern/postern.toml")+
		"\nhostname = \"mx.example.org\"\ndomains = [\"example.org\", \"foreign.test\"]\nlisten = [\":2525\"]\n")
	p := m.serve()
	printed, err := m.output(moxSender + " --to ann@example.org")
	if err == nil || !strings.Contains(printed, "550 5.7.26 rejecting per dmarc policy") {
		t.Errorf("without rules: %v\n%s", err, printed)
	}
	stop()
	m.write("/srv/mox/config/domains.conf", moxAccounts+recipe(t, mailServers, section, "config/domains.conf, below Accounts")+"\n")
	start(behindPostern)
	m.run(moxSender + " --to ann@example.org")
	m.eventually("grep 'accepting reject to configured mailbox due to ruleset' /var/log/mox.log")
	printed, err = m.output(moxSender + " --to someone@foreign.test")
	if err == nil || !strings.Contains(printed, "550 5.1.1 not accepting email for domain") {
		t.Errorf("a foreign domain: %v\n%s", err, printed)
	}
	m.stop(p)
}

// moxSender sends a message to Postern from the only address that its domain allows.
const moxSender = "swaks --server 127.0.0.1:2525 --local-interface " + remoteAddress + " --tls --helo sender.test --from someone@sender.test"

// The configuration of mox, with the address to listen at. Tabs are significant.
const (
	moxSettings = `DataDir: ../data
LogLevel: debug
User: mox
Hostname: mx.example.org
Listeners:
	public:
		IPs:
			- %s
		SMTP:
			Enabled: true
			FirstTimeSenderDelay: 0s
			NoSTARTTLS: true
Postmaster:
	Account: ann
	Mailbox: Inbox
`
	moxAccounts = `Domains:
	example.org: nil
Accounts:
	ann:
		Domain: example.org
		RejectsMailbox: Rejects
		NoFirstTimeSenderDelay: true
		Destinations:
`
)
