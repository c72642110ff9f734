package test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/testsmtp"
)

// The mail server of containers in deploy/compose, started by the command in the head of
// compose.yaml. The sender gets what Dovecot says of the mailbox, Postfix knows the sender's true
// address, and the user reads the message over TLS.
func TestComposedMailServer(t *testing.T) {
	t.Parallel()
	e := startContainers(t)
	image := filepath.Join(t.TempDir(), "image.tar")
	e.run("podman", "save", "--quiet", "--output", image, e.image())

	m := startMachine(t, mxAddress+"/32", remoteAddress+"/32")
	m.nameserver()
	m.containers()
	m.debianImage()
	m.run("podman load --quiet --input " + image)
	files, err := filepath.Glob("../deploy/compose/*")
	if err != nil {
		t.Fatal(err)
	}
	text := make(map[string]string)
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[filepath.Base(path)] = string(content)
		m.write("/run/compose/"+filepath.Base(path), string(content))
	}
	// podman-compose reads it as well.
	m.write("/run/compose/compose.override.yaml", "services:\n  postfix:\n    volumes: [\"/usr:/usr:ro\"]\n  dovecot:\n    volumes: [\"/usr:/usr:ro\"]\n")
	up := regexp.MustCompile(`(?m)^#   podman-compose (up .*?)  `).FindStringSubmatch(text["compose.yaml"])
	if up == nil {
		t.Fatal("the head of compose.yaml does not say how to start it")
	}
	m.run("cd /run/compose && BUILDAH_ISOLATION=chroot podman-compose --podman-build-args=--volume=/usr:/usr:ro " + up[1])

	m.eventually("podman exec compose_dovecot_1 doveadm user ann@example.org")
	m.eventually("podman healthcheck run compose_postern_1")
	m.sends(t, "ann@example.org", "250 2.0.0 Ok: queued")
	m.sends(t, "nosuch@example.org", "550 5.1.1 <nosuch@example.org> User doesn't exist")
	m.sends(t, "ann@example.com", "550 5.7.1")
	header := m.eventually("podman exec compose_dovecot_1 doveadm fetch -u ann@example.org hdr mailbox INBOX | grep .")
	for _, want := range []string{"unknown [" + remoteAddress + "])\n\tby mx.example.org (Postfix)", "by mx.example.org (Postern) with ESMTPS"} {
		if !strings.Contains(header, want) {
			t.Errorf("the message does not have %q:\n%s", want, header)
		}
	}

	password := strings.TrimSpace(m.run("podman exec compose_dovecot_1 doveadm pw -s BLF-CRYPT -p secret"))
	m.write("/run/compose/users", strings.Replace(text["users"], "ann@example.org:*", "ann@example.org:"+password, 1))
	logIn := func() error {
		conn, err := tls.Dial("tcp", mxAddress+":993", testsmtp.OpportunisticTLS())
		if err != nil {
			return err
		}
		defer conn.Close()
		lines := bufio.NewReader(conn)
		_, err = lines.ReadString('\n')
		_, err2 := fmt.Fprint(conn, "a LOGIN ann@example.org secret\r\n")
		answer, err3 := lines.ReadString('\n')
		if !strings.HasPrefix(answer, "a OK") {
			return errors.Join(err, err2, err3, fmt.Errorf("LOGIN got %q", answer))
		}
		return nil
	}
	eventually(t, func() error { return inNetworkOf(m.pid, logIn) }) // Dovecot reads the file once a second
}

// sends delivers a message from another address of the machine to its port 25, which gets a reply
// with these words in the end. It may be deferred before.
func (m *machine) sends(t *testing.T, to, want string) {
	t.Helper()
	eventually(t, func() error {
		return inNetworkOf(m.pid, func() error {
			c, err := testsmtp.DialTLS(mxAddress+":25", remoteAddress, testsmtp.OpportunisticTLS())
			if err != nil {
				return err
			}
			defer c.Close()
			message := newMessage("composed", 0)
			message.To = []string{to}
			reply, err := c.Deliver(message)
			if err != nil || !strings.Contains(reply.String(), want) {
				return fmt.Errorf("the reply to a message to %s is %q, %w; want %q", to, reply, err, want)
			}
			return nil
		})
	})
}

// containers makes podman work in the machine, with images of its own.
func (m *machine) containers() {
	m.t.Helper()
	if _, err := m.output("command -v podman-compose && test -x /usr/lib/podman/netavark && test -x /usr/lib/podman/aardvark-dns"); err != nil {
		unavailable(m.t, "podman-compose, or what gives containers a network, is not installed: run scripts/install-peers")
	}
	const dir = "/var/lib/containers"
	m.write("/etc/containers/storage.conf", containerStorage(dir))
	m.write("/etc/containers/containers.conf", containerSettings(dir)+"[network]\nnetwork_backend = \"netavark\"\n")
}

// debianImage makes the image from which others are built, without Debian's mirrors: the machine's
// own Debian. Its /usr is a volume, and apt-get only sees whether packages are installed there.
func (m *machine) debianImage() {
	m.t.Helper()
	status, err := os.ReadFile("/var/lib/dpkg/status") // the machine has another /var/lib
	if err != nil {
		unavailable(m.t, "this is no Debian: "+err.Error())
	}
	m.write("/run/debian/var/lib/dpkg/status", string(status))
	m.write("/run/debian/opt/bin/apt-get", `#!/bin/sh
case $1 in
update) ;;
install)
	shift
	for package; do
		case $package in -*) ;; *) dpkg-query --status "$package" >/dev/null || exit ;; esac
	done
	;;
*) exit 1 ;;
esac
`)
	m.run(`cd /run/debian && chmod +x opt/bin/apt-get
mkdir -p dev proc root run srv sys tmp usr var/cache var/lib/apt/lists var/log var/spool var/tmp
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
cp -a /etc . && rm -rf etc/containers
tar -c . | podman import --quiet --change 'ENV PATH=/opt/bin:/usr/sbin:/usr/bin' - docker.io/library/debian:bookworm-slim`)
}
