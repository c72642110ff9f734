package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testsmtp"
	"postern/internal/testzone"
	"postern/sessionticket/strictclient"
)

// An administrator has Debian 12 with its chasquid, which sends session tickets early: mail of
// strict senders does not arrive. Two commands, and the plan that the second prints, and it
// does. chasquid sees the senders, and its users' ports stay as they are.
func TestSetupPutsPosternInFrontOfChasquidOnDebian(t *testing.T) {
	t.Parallel()
	root := debianRoot(t, "debian-12-mail")
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
	root := debianRoot(t, "debian-12-mail")
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
		d.run("systemctl", "restart", "exim4")
		d.deliver(remoteAddress, fmt.Sprint("before, split ", split))
		plan := d.setup()
		checkHas(t, "the plan", plan, "#   port 25       Exim (process ", `listen = ["192.0.2.25:25"]`)
		checkRecipe(t, plan, "Exim, by the PROXY protocol", "/etc/exim4/exim4.conf.localmacros", "/etc/postern/postern.toml")
		d.follow(plan)
		subject := fmt.Sprint("through Postern, split ", split)
		d.deliver(remoteAddress, subject)
		d.received(subject, "["+remoteAddress+"]", "(Postern)")
		d.refuses(remoteAddress, "someone@foreign.test", "not accepting mail for this domain")
		d.greets("127.0.0.1:25", "Exim")
		d.examined(0, "the next hop saw its sender at "+mxAddress, "The next hop refuses mail for foreign domains")
		d.goBack(plan)
		d.greets(mxAddress+":25", "Exim")
		d.run("rm", "/etc/postern/postern.toml")
	}
}

// mask keeps units of a machine from being started.
func mask(t *testing.T, root string, units ...string) {
	t.Helper()
	for _, unit := range units {
		if err := os.Symlink("/dev/null", filepath.Join(root, "etc/systemd/system", unit)); err != nil {
			t.Fatal(err)
		}
	}
}

// inRoot runs a command line in the root folder, before the machine is booted.
func (d *debian) inRoot(line string) {
	d.t.Helper()
	if output, err := exec.Command("chroot", d.root, "sh", "-euc", line).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// certificate makes a certificate for the machine, whose authority it trusts.
func (d *debian) certificate(folder string) {
	d.t.Helper()
	ca := testcert.NewCA(d.t)
	pair := testcert.New(d.t, testcert.Options{Names: []string{"mx.example.org"}, CA: ca, NotAfter: time.Now().AddDate(0, 2, 0)})
	d.copy(pair.CertFile, folder+"/fullchain.pem")
	d.copy(pair.KeyFile, folder+"/privkey.pem")
	d.copy(ca.File, "/etc/ssl/certs/ca-certificates.crt")
	d.inRoot("chmod 600 " + folder + "/privkey.pem")
}

// bootMailServer boots a machine that DNS knows as the MX host of example.org, and installs the
// package there.
func bootMailServer(t *testing.T, root string) *debian {
	t.Helper()
	deb, _ := packages(t)
	d := bootDebian(t, root)
	for _, address := range []string{mxAddress, remoteAddress} {
		cmd := exec.Command("nsenter", "--target", strconv.Itoa(d.leader), "--net", "ip", "address", "add", address+"/32", "dev", "lo")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	err := d.inNetwork(func() error {
		testzone.StartAt(t, "127.0.0.1:53", testzone.Zone{Name: ".", Records: []string{
			"example.org. MX 10 mx.example.org.", "mx.example.org. A " + mxAddress, `_smtp._tls.example.org. TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.org"`,
			`sender.test. TXT "v=spf1 ip4:` + remoteAddress + ` -all"`,
		}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.run("rm", "-f", "/etc/resolv.conf")
	d.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
	// README's commands: the first has built the package.
	install := typed(t, "../README.md", "Install")
	if len(install) != 3 || install[0] != "scripts/build-packages deb:amd64" || install[2] != "postern setup" {
		t.Fatalf("README installs by other commands: %q", install)
	}
	d.copy(deb, "/root/build/packages/postern_0.0.1_"+runtime.GOARCH+".deb")
	d.run("sh", "-euc", "cd /root && "+strings.ReplaceAll(install[1], "amd64", runtime.GOARCH))
	return d
}

// setup returns the plan of postern setup.
func (d *debian) setup() string {
	d.t.Helper()
	return d.run("postern", "setup")
}

// follow runs a plan.
func (d *debian) follow(plan string) {
	d.t.Helper()
	d.write("/root/plan.sh", plan)
	d.run("sh", "-eux", "/root/plan.sh")
	d.run("postern", "status", "--ready")
}

// goBack types the way back of a plan.
func (d *debian) goBack(plan string) {
	d.t.Helper()
	d.run("sh", "-euxc", wayBack(d.t, plan))
}

// examined runs postern doctor, and checks its exit status and what it prints.
func (d *debian) examined(status int, words ...string) {
	d.t.Helper()
	printed := d.run("sh", "-c", "postern doctor --deliver ann@example.org; echo exit status $?")
	checkHas(d.t, "postern doctor", strings.Join(strings.Fields(printed), " "), append(words, fmt.Sprint("exit status ", status))...)
}

// checkRecipe checks that a plan writes what the documentation has for these files. So the story
// of the plan is that of the recipe.
func checkRecipe(t *testing.T, plan, heading string, files ...string) {
	t.Helper()
	for _, file := range files {
		checkHas(t, "the plan", plan, strings.Split(recipe(t, mailServers, heading, file), "\n")...)
	}
}

// checkHas checks that a text has all parts.
func checkHas(t *testing.T, name, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", name, part, text)
		}
	}
}

// send delivers a message to port 25 from an address of the machine, over TLS if that is offered,
// and returns the last reply.
func (d *debian) send(from, to, subject string) (reply smtp.Reply, err error) {
	failed := d.inNetwork(func() error {
		c, err := testsmtp.Dial(mxAddress+":25", from)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Hello(); err != nil {
			return err
		}
		if offer, err := c.Ask("STARTTLS\r\n"); err != nil {
			return err
		} else if offer.Positive() {
			if err := errors.Join(c.Handshake(testsmtp.OpportunisticTLS()), c.Hello()); err != nil {
				return err
			}
		}
		message := newMessage(subject, 0)
		message.To = []string{to}
		reply, err = c.Deliver(message)
		return err
	})
	return reply, failed
}

// deliver delivers a message to ann.
func (d *debian) deliver(from, subject string) {
	d.t.Helper()
	eventually(d.t, func() error { // a server that was started a moment ago may not listen yet
		reply, err := d.send(from, "ann@example.org", subject)
		if err == nil && !reply.Positive() {
			err = fmt.Errorf("reply %s", reply)
		}
		return err
	})
}

// refuses checks that a message is refused for good, with these words.
func (d *debian) refuses(from, to, words string) {
	d.t.Helper()
	if reply, err := d.send(from, to, "refused"); err != nil || !reply.Permanent() || !strings.Contains(reply.Text(), words) {
		d.t.Errorf("from %s to %s: %s, %v, want a 5xx with %q", from, to, reply, err, words)
	}
}

// received waits for a message in ann's Maildir, and checks its Received fields.
func (d *debian) received(subject string, parts ...string) {
	d.t.Helper()
	folder := maildir(d.path("/home/ann/Maildir"))
	eventually(d.t, func() error {
		for _, message := range folder.messages(d.t) {
			if message.field("Subject") == subject {
				header, _, _ := strings.Cut(string(message), "\n\n")
				checkHas(d.t, "the header", header, parts...)
				return nil
			}
		}
		return fmt.Errorf("the message %q is not there", subject)
	})
}

// greets checks which server listens at an address.
func (d *debian) greets(address, name string) {
	d.t.Helper()
	eventually(d.t, func() error {
		return d.inNetwork(func() error {
			c, err := testsmtp.Connect(address, "")
			if err != nil {
				return err
			}
			defer c.Close()
			reply, err := c.Reply()
			if err == nil && !strings.Contains(reply.Text(), name) {
				err = fmt.Errorf("%s greets with %s, want %s", address, reply, name)
			}
			return err
		})
	})
}

// startTLSStrictly does a handshake as a sender that refuses an early ticket.
func (d *debian) startTLSStrictly() error {
	return d.inNetwork(func() error { return startTLSStrictly(mxAddress + ":25") })
}
