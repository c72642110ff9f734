package test

import (
	"bytes"
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
)

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
func (d *debian) certificate(folder string) *testcert.Pair {
	d.t.Helper()
	ca := testcert.NewCA(d.t)
	pair := testcert.New(d.t, testcert.Options{Names: []string{"mx.example.org"}, CA: ca, NotAfter: time.Now().AddDate(0, 2, 0)})
	d.copy(pair.CertFile, folder+"/fullchain.pem")
	d.copy(pair.KeyFile, folder+"/privkey.pem")
	d.copy(ca.File, "/etc/ssl/certs/ca-certificates.crt")
	d.inRoot("chmod 600 " + folder + "/privkey.pem")
	return pair
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
			"sender.test. MX 10 mx.example.org.", `sender.test. TXT "v=spf1 ip4:` + remoteAddress + ` -all"`,
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
	if len(install) != 3 || install[0] != "scripts/build-packages deb:amd64" || install[1] != documented(t, "operating.md", "apt install ") || install[2] != "postern setup" {
		t.Fatalf("README installs by other commands: %q", install)
	}
	d.copy(deb, "/root/build/packages/postern_0.0.1_"+runtime.GOARCH+".deb")
	d.run("sh", "-euc", "cd /root && "+strings.ReplaceAll(install[1], "amd64", runtime.GOARCH))
	return d
}

// types types the first command of a page in docs with that beginning, and returns what it prints.
func (d *debian) types(page, beginning string) string {
	d.t.Helper()
	return d.run("sh", "-euc", documented(d.t, page, beginning))
}

// setup returns the plan of postern setup.
func (d *debian) setup() string {
	d.t.Helper()
	d.types("operating.md", "postern setup > plan.sh")
	return d.run("cat", "/plan.sh")
}

// follow runs a plan.
func (d *debian) follow(plan string) {
	d.t.Helper()
	d.write("/plan.sh", plan)
	if output, err := d.try("sh", "-euc", documented(d.t, "operating.md", "sh -ex plan.sh")); err != nil {
		journal, _ := d.try("journalctl", "--no-pager", "--lines", "50")
		d.t.Fatalf("the plan: %v\n%s\n%s", err, output, journal)
	}
	eventually(d.t, func() error { // a server that was told to reload may not listen yet where Postern connects
		printed, err := d.try("postern", "status", "--ready")
		if err != nil {
			err = fmt.Errorf("postern status --ready: %w\n%s", err, printed)
		}
		return err
	})
}

// goBack types the way back of a plan.
func (d *debian) goBack(plan string) {
	d.t.Helper()
	d.run("sh", "-euxc", wayBack(d.t, plan))
}

// examined runs postern doctor, and checks its exit status and what it prints.
func (d *debian) examined(status int, words ...string) {
	d.t.Helper()
	printed := d.run("sh", "-c", "postern doctor --verbose --deliver ann@example.org; echo exit status $?")
	checkHas(d.t, "postern doctor", spaced(printed), append(words, fmt.Sprint("exit status ", status))...)
}

// spaced returns text with one space between its words.
func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }

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

// presents waits until senders see a certificate.
func (d *debian) presents(pair *testcert.Pair) {
	d.t.Helper()
	eventually(d.t, func() error {
		return d.inNetwork(func() error {
			c, err := testsmtp.DialTLS(mxAddress+":25", remoteAddress, testsmtp.OpportunisticTLS())
			if err != nil {
				return err
			}
			defer c.Close()
			if !bytes.Equal(c.TLS().PeerCertificates[0].Raw, pair.TLS.Certificate[0]) {
				return errors.New("the certificate is another one")
			}
			return nil
		})
	})
}

// startTLSStrictly does a handshake as a sender that refuses an early ticket.
func (d *debian) startTLSStrictly() error {
	return d.inNetwork(func() error { return startTLSStrictly(mxAddress + ":25") })
}
