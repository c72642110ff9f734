package test

import (
	"crypto/tls"
	"fmt"
	"os"
	"syscall"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testsmtp"
)

// certFiles are the files of a certificate that postern reads.
type certFiles struct{ cert, key string }

// newCertFiles copies a pair into new files.
func newCertFiles(t *testing.T, pair *testcert.Pair) certFiles {
	t.Helper()
	dir := t.TempDir()
	s := certFiles{dir + "/cert.pem", dir + "/key.pem"}
	s.replace(t, pair.CertFile, pair.KeyFile)
	return s
}

// replace replaces each file atomically, as certbot does.
func (s certFiles) replace(t *testing.T, cert, key string) {
	t.Helper()
	for to, from := range map[string]string{s.cert: cert, s.key: key} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s certFiles) flags() []string { return []string{"--cert", s.cert, "--key", s.key} }

// New handshakes get the new certificate, at once after SIGHUP, and otherwise when the
// change is noticed. Earlier TLS sessions can still be resumed.
func TestReloadServesNewCertificates(t *testing.T) {
	t.Parallel()
	pairs := make([]*testcert.Pair, 3)
	for i := range pairs {
		pairs[i] = testcert.New(t, testcert.Options{})
	}
	files := newCertFiles(t, pairs[0])
	p := start(t, files.flags()...)
	returning := testsmtp.OpportunisticTLS()
	checkHandshake(t, p, returning, false)
	checkServed(t, p, pairs[0])
	for i, reload := range []func(){
		func() { p.signal(syscall.SIGHUP) },
		func() {}, // notices it by itself
	} {
		next, before := pairs[i+1], p.log.length()
		files.replace(t, next.CertFile, next.KeyFile)
		reload()
		p.await(before, "certificate expires soon", files.cert)
		checkServed(t, p, next)
		checkHandshake(t, p, returning, true)
	}
}

// An invalid pair is logged, and the old one stays in use.
func TestInvalidNewCertificateKeepsTheOldOne(t *testing.T) {
	old, other := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{})
	files := newCertFiles(t, old)
	p := start(t, files.flags()...)
	nonsense := files.cert + ".nonsense"
	if err := os.WriteFile(nonsense, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []struct{ name, cert, key string }{
		{"a key of another certificate", old.CertFile, other.KeyFile},
		{"an invalid certificate", nonsense, old.KeyFile},
		{"an invalid key", other.CertFile, nonsense},
	} {
		t.Run(broken.name, func(t *testing.T) {
			before := p.log.length()
			files.replace(t, broken.cert, broken.key)
			p.signal(syscall.SIGHUP)
			p.await(before, "level=ERROR", "keeping current one", files.cert)
			checkServed(t, p, old)
		})
	}
	before := p.log.length()
	files.replace(t, other.CertFile, other.KeyFile)
	p.signal(syscall.SIGHUP)
	p.await(before, "certificate expires soon", files.cert)
	checkServed(t, p, other)
}

// No delivery fails while certificates are replaced under load.
func TestNoSenderFailsWhileCertificatesChange(t *testing.T) {
	pairs := []*testcert.Pair{testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{RSA: true})}
	files := newCertFiles(t, pairs[0])
	p := start(t, files.flags()...)
	l := startLoad(p.addr, "reload", 4, 4<<10)
	l.awaitFirst()
	for i := range 10 {
		next, before := pairs[(i+1)%2], p.log.length()
		files.replace(t, next.CertFile, next.KeyFile)
		p.signal(syscall.SIGHUP)
		p.await(before, "certificate expires soon", files.cert)
		p.await(p.log.length(), "msg=session", ` resumed"`, "messages=10")
	}
	if unacked := checkStored(t, l.wait(t), p.maildir().messages(t)); unacked != 0 {
		t.Errorf("%d messages are stored without acknowledgment", unacked)
	}
}

// After SIGHUP new sessions use the new configuration.
func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	file := t.TempDir() + "/postern.toml"
	configure := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(`recipients = ["user@localhost"]`)
	p := start(t, "--config", file)
	m := newMessage("for another", 0)
	m.To = []string{"another@localhost"}
	if reply := p.deliver(t, m); reply.Code != 550 {
		t.Errorf("before: %s, want 550", reply)
	}
	reload := func(text, line string) smtp.Reply {
		before := p.log.length()
		configure(text)
		p.signal(syscall.SIGHUP)
		p.await(before, line)
		return p.deliver(t, m)
	}
	if reply := reload(`recipients = ["another@localhost"]`, "configuration reloaded"); reply.Code != 250 {
		t.Errorf("after: %s, want 250", reply)
	}
	if reply := reload(`recipients = "nonsense`, "level=ERROR"); reply.Code != 250 {
		t.Errorf("after a broken file: %s, want 250 as before", reply)
	}
}

// checkHandshake connects with a TLS configuration and checks whether it resumes.
func checkHandshake(t *testing.T, p *postern, config *tls.Config, resumed bool) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", config)
	if err != nil {
		t.Errorf("the sender: %v", err)
		return
	}
	defer c.Close()
	if state := c.TLS(); state.DidResume != resumed {
		t.Errorf("the sender resumed: %v, want %v", state.DidResume, resumed)
	}
	if err := c.Expect("QUIT\r\n", 221); err != nil {
		t.Error(err)
	}
}

// checkServed checks that the server presents pair.
func checkServed(t *testing.T, p *postern, pair *testcert.Pair) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", &tls.Config{ServerName: "localhost", RootCAs: pair.Pool})
	if err != nil {
		t.Error(fmt.Errorf("a sender that trusts that certificate only: %w", err))
		return
	}
	c.Close()
}
