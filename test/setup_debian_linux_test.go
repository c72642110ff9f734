package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testpeer"
	"postern/sessionticket/strictclient"
)

// An administrator has Debian 12 with its chasquid, which sends session tickets early: mail of
// strict senders does not arrive. Two commands, and the plan that the second prints, and it
// does. chasquid sees the senders, and its users' ports stay as they are.
func TestSetupPutsPosternInFrontOfChasquidOnDebian(t *testing.T) {
	t.Parallel()
	root := debianRoot(t, "debian-12-exim")
	mask(t, root, "exim4.service")
	d := &debian{t: t, root: root}
	d.certificate("/etc/chasquid/certs/mx.example.org")
	d.write("/etc/chasquid/domains/example.org/aliases", "postmaster: ann\n")
	d.write("/etc/chasquid/chasquid.conf", "hostname: \"mx.example.org\"\nmail_delivery_agent_bin: \"/usr/local/bin/to-maildir\"\nmail_delivery_agent_args: \"%to_user%\"\nmail_log_path: \"<stderr>\"\n")
	d.write("/usr/local/bin/to-maildir", "#!/bin/sh\nexec cat >\"/home/$1/Maildir/new/$$\"\n")
	d.inRoot("chmod +x /usr/local/bin/to-maildir && useradd --create-home ann && chmod 755 /home/ann && mkdir -p /home/ann/Maildir/new" +
		" && chown -R chasquid:chasquid /home/ann/Maildir /etc/chasquid/certs && chmod 700 /etc/chasquid/certs" +
		" && chasquid-util user-add ann@example.org --password=secret && chmod -R a+rX /etc/chasquid/domains")
	d = bootMailServer(t, root)
	d.deliver(remoteAddress, "before")
	if err := d.startTLSStrictly(); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Errorf("before, the strict client got %v", err)
	}

	plan := d.setup()
	checkHas(t, "the plan", plan, "#   port 25       chasquid (process ", `listen = ["192.0.2.25:25"]`, `domains = ["example.org"]`)
	checkRecipe(t, plan, "chasquid, by the PROXY protocol", "/etc/systemd/system/chasquid-postern.service",
		"/etc/systemd/system/chasquid-smtp.socket.d/postern.conf", "/etc/postern/postern.toml")
	checkHas(t, "the plan", plan, documented(t, mailServers, "systemctl daemon-reload"), documented(t, mailServers, "systemctl enable --now chasquid-postern"),
		documented(t, mailServers, "systemctl stop chasquid"), documented(t, mailServers, "systemctl start chasquid"))
	d.follow(plan)
	if err := d.startTLSStrictly(); err != nil {
		t.Errorf("behind Postern, the strict client got %v", err)
	}
	d.deliver(remoteAddress, "through Postern")
	d.received("through Postern", "["+remoteAddress+"]", "(Postern)")
	d.refuses(remoteAddress, "nobody@example.org", "user does not exist")
	d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
	d.refuses("192.0.2.25", "ann@example.org", "SPF check failed")
	for _, address := range []string{"127.0.0.1:25", "127.0.0.1:587"} {
		d.greets(address, "chasquid")
	}
	d.examined(0, "the next hop saw its sender at "+mxAddress)
	if again, err := d.try("postern", "setup"); exitStatus(err) != 1 || !strings.Contains(again, "listens on port 25 already") {
		t.Errorf("a second setup: %v\n%s", err, again)
	}

	d.goBack(plan)
	d.deliver(remoteAddress, "afterwards")
	d.received("afterwards", "["+remoteAddress+"]")
	d.greets(mxAddress+":25", "chasquid")
}

// Debian's Exim has its configuration in many files or in one. Either way the plan adds lines
// of its own to it, and Exim sees the senders, and none can relay.
func TestSetupPutsPosternInFrontOfEximOnDebian(t *testing.T) {
	t.Parallel()
	root := debianRoot(t, "debian-12-exim")
	mask(t, root, "chasquid.service", "chasquid-smtp.socket", "chasquid-submission.socket", "chasquid-submission_tls.socket")
	d := &debian{t: t, root: root}
	d.certificate("/etc/letsencrypt/live/mx.example.org")
	d.write("/etc/mailname", "mx.example.org\n")
	answers := func(split bool) string {
		return fmt.Sprintf("dc_eximconfig_configtype='internet'\ndc_other_hostnames='example.org'\ndc_local_interfaces=''\n"+
			"dc_localdelivery='maildir_home'\ndc_use_split_config='%v'\n", split)
	}
	d.write("/etc/exim4/update-exim4.conf.conf", answers(true))
	d.inRoot("useradd --create-home ann")
	d = bootMailServer(t, root)
	for _, split := range []bool{true, false} {
		d.write("/etc/exim4/update-exim4.conf.conf", answers(split))
		d.types(mailServers, "update-exim4.conf")
		d.types(mailServers, "systemctl restart exim4")
		checkHas(t, "exim4 -bV", d.types(mailServers, "exim4 -bV"), "PROXY")
		d.deliver(remoteAddress, fmt.Sprint("before, split ", split))
		const macros, own = "/etc/exim4/exim4.conf.localmacros", "# ours\nMESSAGE_SIZE_LIMIT = 20M\n"
		if !split {
			d.write(macros, own)
		}
		plan := d.setup()
		checkHas(t, "the plan", plan, "#   port 25       Exim (process ", `listen = ["192.0.2.25:25"]`)
		checkRecipe(t, plan, "Exim, by the PROXY protocol", "/etc/exim4/exim4.conf.localmacros", "/etc/postern/postern.toml")
		d.follow(plan)
		if !split {
			d.follow(plan) // as after a step that failed
		}
		subject := fmt.Sprint("through Postern, split ", split)
		d.deliver(remoteAddress, subject)
		d.received(subject, "["+remoteAddress+"]", "(Postern)")
		d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
		d.greets("127.0.0.1:25", "Exim")
		d.examined(0, "the next hop saw its sender at "+mxAddress, "The next hop refuses mail for foreign domains")
		if !split {
			d.run("sh", "-euc", "sed -i /^MAIN_ACL_CHECK_RCPT/d /etc/exim4/exim4.conf.localmacros")
			d.types(mailServers, "update-exim4.conf")
			d.types(mailServers, "systemctl restart exim4")
			d.greets("127.0.0.1:25", "Exim")
			d.examined(1, "The next hop relays mail from Postern to any domain")
		}
		d.goBack(plan)
		d.greets(mxAddress+":25", "Exim")
		if !split {
			if after := d.run("cat", macros); after != own {
				t.Errorf("the way back left\n%s", after)
			}
		}
	}
}

// Debian's Postfix stores its mail in Dovecot. The plan puts Postern in front of Postfix, by the
// units of both, with certbot's certificate, which only root can read. Later Postfix is switched
// off, and Postern is put in front of Dovecot, whose socket it reaches from its unit's sandbox.
func TestSetupPutsPosternInFrontOfPostfixAndThenOfDovecotOnDebian(t *testing.T) {
	t.Parallel()
	root := debianRoot(t, "debian-12-postfix")
	d := &debian{t: t, root: root}
	d.certificate("/etc/letsencrypt/live/mx.example.org")
	d.inRoot("chmod 700 /etc/letsencrypt/live && useradd --create-home ann && useradd --create-home postmaster" +
		" && postconf -e myhostname=mx.example.org mydestination=example.org,localhost mailbox_transport=lmtp:unix:private/dovecot-lmtp")
	d.write("/etc/dovecot/local.conf", `mail_location = maildir:~/Maildir
auth_username_format = %Ln
service lmtp {
  unix_listener /var/spool/postfix/private/dovecot-lmtp {
    user = postfix
    mode = 0600
  }
}
`)
	d = bootMailServer(t, root)
	before := d.run("postconf", "-M")
	d.deliver(remoteAddress, "before")
	d.received("before", "["+remoteAddress+"]")

	plan := d.setup()
	checkHas(t, "the plan", plan, "#   port 25       Postfix (process ", `domains = ["example.org"]`, `listen = ["192.0.2.25:25"]`, "ln -sf /etc/postern/copy-certificates /etc/letsencrypt/renewal-hooks/deploy/postern")
	const section = "Postfix, by the PROXY protocol"
	checkRecipe(t, plan, section, "/etc/postern/postern.toml")
	d.follow(plan)
	d.types(mailServers, "systemctl reload postfix")
	_, options, _ := strings.Cut(recipe(t, mailServers, section, "/etc/postfix/master.cf"), "\n") // Debian's services have another root folder
	checkHas(t, "master.cf", spaced(d.run("postconf", "-M")), "127.0.0.1:10025 inet n - y - - smtpd "+spaced(options))
	if err := d.startTLSStrictly(); err != nil {
		t.Errorf("behind Postern, the strict client got %v", err)
	}
	d.deliver(remoteAddress, "through Postern")
	d.received("through Postern", "["+remoteAddress+"]", "(Postern)")
	d.refuses(remoteAddress, "stranger@example.org", "User unknown")
	d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
	d.greets("127.0.0.1:25", "Postfix")
	d.examined(0, "the next hop saw its sender at "+mxAddress, "The next hop refuses mail for foreign domains", "The next hop takes mail for postmaster@example.org")
	// At the port of the machine's programs, Postfix takes Postern for one of them.
	d.run("sh", "-euc", "sed -i 's/10025?proxy=v2/25/' /etc/postern/postern.toml && systemctl restart postern")
	d.examined(1, "The next hop relays mail from Postern to any domain", "The next hop did not see the sender of the test message at "+mxAddress,
		"The next hop does not learn the sender's address: it does not offer XCLIENT")
	d.goBack(plan)
	d.greets(mxAddress+":25", "Postfix")
	if after := d.run("postconf", "-M"); after != before {
		t.Errorf("the way back left\n%s\nwant\n%s", after, before)
	}
	d.deliver(remoteAddress, "afterwards")
	d.received("afterwards", "["+remoteAddress+"]")

	d.run("systemctl", "stop", "postfix@-", "postfix")
	plan = d.run("postern", "setup", "--domain", "example.org")
	checkHas(t, "the plan", plan, "# How to put Postern in front of Dovecot on mx.example.org.", "#   port 25       none")
	d.follow(plan)
	if err := d.startTLSStrictly(); err != nil {
		t.Errorf("in front of Dovecot, the strict client got %v", err)
	}
	d.deliver(remoteAddress, "to Dovecot")
	d.received("to Dovecot", "["+remoteAddress+"]", "(Postern)")
	look := strings.Replace(documented(t, mailServers, "doveadm fetch "), "you@", "ann@", 1)
	checkHas(t, look, d.run("sh", "-euc", look), "hdr.subject: to Dovecot", "date.received: ")
	d.refuses(remoteAddress, "stranger@example.org", "User doesn't exist")
	d.examined(0, "The test message arrived in Dovecot's mailbox of ann")
	d.goBack(plan)
	if left := d.run("ls", "/etc/dovecot/conf.d"); strings.Contains(left, "postern") {
		t.Errorf("the way back left files: %s", left)
	}
}

// maddy is installed as its instructions say, with its own unit and configuration. The plan moves
// its port 25 behind Postern, and its checks, its limits and its users' ports stay.
func TestSetupPutsPosternInFrontOfMaddyOnDebian(t *testing.T) {
	t.Parallel()
	const version, configuration = "v0.8.1", "/etc/maddy/maddy.conf"
	root := debianRoot(t, "debian-12")
	d := &debian{t: t, root: root}
	d.copy(testpeer.BuiltProgram(t, "maddy", version), "/usr/local/bin/maddy")
	d.copy(moduleFile(t, "github.com/foxcpp/maddy", version, "dist/systemd/maddy.service"), "/etc/systemd/system/maddy.service")
	d.copy(moduleFile(t, "github.com/foxcpp/maddy", version, "maddy.conf"), configuration)
	d.certificate("/etc/maddy/certs/mx.example.org")
	d.inRoot("chmod 755 /usr/local/bin/maddy && sed -i 's/^$(hostname) = .*/$(hostname) = mx.example.org/' " + configuration +
		" && useradd -mrU -s /sbin/nologin -d /var/lib/maddy -c 'maddy mail server' maddy && systemctl enable maddy && chown -R maddy /etc/maddy")
	d = bootMailServer(t, root)
	for _, mailbox := range []string{"ann@example.org", "postmaster@example.org"} {
		d.run("runuser", "-u", "maddy", "--", "maddy", "imap-acct", "create", mailbox)
	}
	before := d.run("cat", configuration)
	d.deliver(remoteAddress, "before")

	plan := d.setup()
	checkHas(t, "the plan", plan, "#   port 25       maddy (process ", "#   maddy         0.8.1", `listen = ["192.0.2.25:25", "127.0.0.1:25"]`)
	const section = "maddy, by the PROXY protocol"
	checkRecipe(t, plan, section, "/etc/postern/postern.toml")
	d.follow(plan)
	checkHas(t, configuration, d.run("cat", configuration), recipe(t, mailServers, section, configuration))
	if err := d.startTLSStrictly(); err != nil {
		t.Errorf("behind Postern, the strict client got %v", err)
	}
	d.deliver(remoteAddress, "through Postern")
	message := d.run("maddy", "imap-msgs", "dump", "ann@example.org", "INBOX", "2")
	checkHas(t, "the message", message, "Subject: through Postern\r\n", "["+remoteAddress+"]", "spf=pass", "(Postern)")
	d.refuses(remoteAddress, "nobody@example.org", "User does not exist")
	d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
	for _, address := range []string{mxAddress + ":587", "127.0.0.1:587"} {
		d.greets(address, "ESMTP Service Ready")
	}
	d.examined(0, "A sender completes STARTTLS on 127.0.0.1:25", "The next hop takes mail for postmaster@example.org", "The next hop refuses mail for foreign domains", "The test message arrived in maddy's mailbox of ann@example.org, and the next hop saw its sender at "+mxAddress)
	if left := d.run("maddy", "imap-msgs", "list", "ann@example.org", "INBOX"); strings.Contains(left, "doctor") {
		t.Errorf("postern doctor left its message: %s", left)
	}
	d.goBack(plan)
	d.greets(mxAddress+":25", "ESMTP Service Ready")
	if after := d.run("cat", configuration); after != before {
		t.Errorf("the way back left\n%s", after)
	}
}

// moduleFile returns the path of a file of a module that scripts/build-peers has downloaded.
func moduleFile(t *testing.T, module, version, name string) string {
	t.Helper()
	printed, err := goTool("mod", "download", "-json", module+"@"+version)
	if err != nil {
		t.Fatal(err)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(printed), &downloaded); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(downloaded.Dir, name)
}

// Debian 12 has an OpenSMTPD with which no sender completes a handshake
// (https://github.com/OpenSMTPD/OpenSMTPD/issues/1171): mail arrives in plaintext, or not at all.
// Behind Postern it arrives over TLS, and OpenSMTPD sees the senders.
func TestSetupPutsPosternInFrontOfOpenSMTPDOnDebian(t *testing.T) {
	t.Parallel()
	const configuration = "/etc/smtpd.conf"
	root := debianRoot(t, "debian-12-opensmtpd")
	d := &debian{t: t, root: root}
	d.certificate("/etc/letsencrypt/live/mx.example.org")
	d.write("/etc/hosts", "127.0.0.1 localhost\n"+mxAddress+" mx.example.org mx\n")
	d.write("/etc/mailname", "mx.example.org\n")
	d.write("/etc/aliases", "postmaster: ann\n")
	d.write(configuration, `pki mx.example.org cert "/etc/letsencrypt/live/mx.example.org/fullchain.pem"
pki mx.example.org key "/etc/letsencrypt/live/mx.example.org/privkey.pem"
table aliases file:/etc/aliases

listen on 0.0.0.0 tls pki mx.example.org
listen on 0.0.0.0 port 587 tls-require pki mx.example.org auth

action "local" maildir alias <aliases>
action "outbound" relay

match from any for domain "example.org" action "local"
match for local action "local"
match from local for any action "outbound"
match auth from any for any action "outbound"
`)
	d.inRoot("useradd --create-home ann")
	d = bootMailServer(t, root)
	before := d.run("cat", configuration)
	d.greets(mxAddress+":25", "OpenSMTPD")
	if err := d.startTLSStrictly(); err == nil {
		t.Error("a sender completes a handshake with OpenSMTPD 6.8.0p2")
	}

	plan := d.setup()
	checkHas(t, "the plan", plan, "#   port 25       OpenSMTPD (process ", "#   OpenSMTPD     6.8.0p2", `domains = ["example.org"]`, `listen = ["192.0.2.25:25"]`)
	checkRecipe(t, plan, "OpenSMTPD, by the PROXY protocol", "/etc/postern/postern.toml")
	d.follow(plan)
	checkHas(t, configuration, d.run("cat", configuration), recipe(t, mailServers, "OpenSMTPD, by the PROXY protocol", configuration))
	if err := d.startTLSStrictly(); err != nil {
		t.Errorf("behind Postern, the strict client got %v", err)
	}
	d.deliver(remoteAddress, "through Postern")
	d.received("through Postern", "["+remoteAddress+"]", "(Postern)")
	d.refuses(remoteAddress, "stranger@example.org", "Invalid recipient")
	d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
	for _, address := range []string{"127.0.0.1:25", "127.0.0.1:587", mxAddress + ":587"} {
		d.greets(address, "OpenSMTPD")
	}
	d.examined(0, "the next hop saw its sender at "+mxAddress, "The next hop takes mail for postmaster@example.org", "The next hop refuses mail for foreign domains")
	d.run("sh", "-euc", "sed -i '/^match tag postern/d' "+configuration)
	d.types(mailServers, "smtpd -n")
	d.types(mailServers, "systemctl restart opensmtpd")
	d.greets("127.0.0.1:25", "OpenSMTPD")
	d.examined(1, "The next hop relays mail from Postern to any domain")
	// After a renewal, certbot runs what the plan has put into this folder.
	renewed := d.certificate("/etc/letsencrypt/live/mx.example.org")
	d.run("run-parts", "--verbose", "/etc/letsencrypt/renewal-hooks/deploy")
	d.presents(renewed)
	d.goBack(plan)
	d.greets(mxAddress+":25", "OpenSMTPD")
	if after := d.run("cat", configuration); after != before {
		t.Errorf("the way back left\n%s", after)
	}
}
