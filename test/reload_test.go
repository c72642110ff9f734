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

// served are the files of one certificate, as postern reads them.
type served struct{ cert, key string }

// serveFrom copies a pair to where postern shall find it.
func serveFrom(t *testing.T, pair *testcert.Pair) served {
	t.Helper()
	dir := t.TempDir()
	s := served{dir + "/cert.pem", dir + "/key.pem"}
	s.put(t, pair.CertFile, pair.KeyFile)
	return s
}

// put replaces the files, each at once, as certbot and its like do.
func (s served) put(t *testing.T, cert, key string) {
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

func (s served) flags() []string { return []string{"--cert", s.cert, "--key", s.key} }

// New handshakes get the new certificate, after SIGHUP at once and without it
// when the change of the files is seen; who was there before still resumes.
func TestNewCertificatesAreServedAfterAReload(t *testing.T) {
	t.Parallel()
	pairs := make([]*testcert.Pair, 3)
	for i := range pairs {
		pairs[i] = testcert.New(t, testcert.Options{})
	}
	files := serveFrom(t, pairs[0])
	p := start(t, files.flags()...)
	returning := testsmtp.OpportunisticTLS()
	checkHandshake(t, p, returning, false)
	checkServed(t, p, pairs[0])
	for i, reload := range []func(){
		func() { p.signal(syscall.SIGHUP) },
		func() {}, // sees it by itself
	} {
		next, before := pairs[i+1], p.journal.length()
		files.put(t, next.CertFile, next.KeyFile)
		reload()
		p.await(before, "certificate expires soon", files.cert)
		checkServed(t, p, next)
		checkHandshake(t, p, returning, true)
	}
}

// A broken new pair is told of, and the old one stays.
func TestABrokenNewCertificateLeavesTheOldOneInUse(t *testing.T) {
	old, other := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{})
	files := serveFrom(t, old)
	p := start(t, files.flags()...)
	nonsense := files.cert + ".nonsense"
	if err := os.WriteFile(nonsense, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []struct{ name, cert, key string }{
		{"a key of another certificate", old.CertFile, other.KeyFile},
		{"a certificate that is none", nonsense, old.KeyFile},
		{"a key that is none", other.CertFile, nonsense},
	} {
		t.Run(broken.name, func(t *testing.T) {
			before := p.journal.length()
			files.put(t, broken.cert, broken.key)
			p.signal(syscall.SIGHUP)
			p.await(before, "level=ERROR", "keeping the current one", files.cert)
			checkServed(t, p, old)
		})
	}
	before := p.journal.length()
	files.put(t, other.CertFile, other.KeyFile)
	p.signal(syscall.SIGHUP)
	p.await(before, "certificate expires soon", files.cert)
	checkServed(t, p, other)
}

// While certificates change again and again under load, no sender fails.
func TestNoSenderFailsWhileCertificatesChange(t *testing.T) {
	pairs := []*testcert.Pair{testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{RSA: true})}
	files := serveFrom(t, pairs[0])
	p := start(t, files.flags()...)
	l := startLoad(p.addr, "reload", 4, 4<<10)
	l.awaitFirst()
	for i := range 10 {
		next, before := pairs[(i+1)%2], p.journal.length()
		files.put(t, next.CertFile, next.KeyFile)
		p.signal(syscall.SIGHUP)
		p.await(before, "certificate expires soon", files.cert)
		p.await(p.journal.length(), "msg=session", ` resumed"`, "messages=10")
	}
	if unacked := balance(t, l.wait(t), p.maildir().messages(t)); unacked != 0 {
		t.Errorf("%d letters are stored whose senders were not told", unacked)
	}
}

// What SIGHUP can change of the configuration changes for new sessions.
func TestSIGHUPChangesTheConfiguration(t *testing.T) {
	file := t.TempDir() + "/postern.toml"
	configure := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(`recipients = ["user@localhost"]`)
	p := start(t, "--config", file)
	m := newLetter("for another", 0)
	m.To = []string{"another@localhost"}
	if reply := p.deliver(t, m); reply.Code != 550 {
		t.Errorf("before: %s, want 550", reply)
	}
	reload := func(text, line string) smtp.Reply {
		before := p.journal.length()
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

// checkHandshake comes as a sender with that TLS configuration.
func checkHandshake(t *testing.T, p *postern, config *tls.Config, resumed bool) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", config)
	if err != nil {
		t.Errorf("a sender that comes back: %v", err)
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

// checkServed comes as a new sender that trusts one certificate alone.
func checkServed(t *testing.T, p *postern, pair *testcert.Pair) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", &tls.Config{ServerName: "localhost", RootCAs: pair.Pool})
	if err != nil {
		t.Error(fmt.Errorf("a sender that trusts one certificate alone: %w", err))
		return
	}
	c.Close()
}
