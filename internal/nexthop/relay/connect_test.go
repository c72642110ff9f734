package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/smtp"
	"postern/internal/testcert"
)

func TestExtensionsAreFromTheLastConversation(t *testing.T) {
	b := newBackend(t,
		"< 220 ready\n> EHLO front.test\n< 250-backend\n< 250-SIZE 1000\n< 250-SMTPUTF8\n< 250 REQUIRETLS\n> QUIT\n< 221 bye",
		"< 220 ready\nserve")
	b.offers = []string{"DSN", "8BITMIME"}
	hop := b.hop("smtp://mail.test")
	if got, want := hop.Extensions(), (smtp.Extensions{EightBitMIME: true}); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}
	if err := hop.Probe(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, want := hop.Extensions(), (smtp.Extensions{SMTPUTF8: true, Size: 1000}); got != want {
		t.Errorf("after the probe: %+v, want %+v", got, want)
	}
	s := hop.Open(someSender)
	deliver(s, someText)
	b.end(s)
	if got, want := hop.Extensions(), (smtp.Extensions{DSN: true, EightBitMIME: true}); got != want {
		t.Errorf("after a message: %+v, want %+v", got, want)
	}
}

func TestProbeErrorNamesTheStep(t *testing.T) {
	for script, want := range map[string]string{
		"close":                          "relay: greeting: EOF",
		"< 554 5.3.2 not here\nhang":     "relay: greeting: refused with 554 5.3.2 not here",
		"< 220 ready\n> EHLO *\nclose":   "relay: EHLO: EOF",
		"< 220 ready\n> EHLO *\n< 354 x": "relay: EHLO: unexpected reply",
		"< hello":                        `relay: greeting: smtp: not a reply: "hello"`,
	} {
		b := newBackend(t, script)
		err := b.hop("smtp://mail.test").Probe(context.Background())
		b.wait()
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", script, err, want)
		}
	}
}

func TestProbeStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, "hang")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := b.hop("smtp://mail.test").Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %s", took)
		}
		b.wait()
	})
}

// TestQuitHasAShortTimeout: the reply does not matter.
func TestQuitHasAShortTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, firstMessage+"> QUIT\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		begun := time.Now()
		s.Close()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		b.wait()
	})
}

const upToStartTLS = `
	< 220 ready
	> EHLO front.test
	< 250-backend
	< 250-REQUIRETLS
	< 250 STARTTLS
	> STARTTLS
`

const afterStartTLS = upToStartTLS + `
	< 220 2.0.0 go on
	tls
	serve`

// secureBackend has a certificate for mail.test.
func secureBackend(t *testing.T, script string) (*backend, *testcert.Pair) {
	pair := testcert.New(t, testcert.Options{Names: []string{"mail.test"}})
	b := newBackend(t, script)
	b.tls = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	b.offers = []string{"REQUIRETLS", "DSN"}
	return b, pair
}

func TestTLS(t *testing.T) {
	const (
		plain   = "< 220 ready\n> EHLO *\n< 250-backend\n< 250 REQUIRETLS\nserve"
		refused = upToStartTLS + "< 454 4.7.0 no TLS just now\nserve"
		never   = upToStartTLS + "< 501 5.5.4 no TLS\nserve"
		garbage = upToStartTLS + "< 220 go on\nsome 100\n< what is TLS?\nhang"
	)
	for _, tt := range []struct {
		name, url, script string
		trusted           bool // the certificate's issuer
		replies           string
		requireTLS        bool // may be offered then
	}{
		{"auto, offered", "smtp://other.test", afterStartTLS, false, delivered, false},
		{"auto, not offered", "smtp://mail.test", plain, false, delivered, false},
		{"auto, handshake fails", "smtp://mail.test", garbage, true, "MAIL 451 4.7.5, RCPT 451 4.7.5", false},
		{"auto, refused for now", "smtp://mail.test", refused, true, "MAIL 454 4.7.0, RCPT 454 4.7.0", false},
		{"auto, refused", "smtp://mail.test", never, true, "MAIL 451 4.3.0, RCPT 451 4.3.0", false},
		{"off", "smtp://mail.test?starttls=off", "< 220 ready\n> EHLO *\n< 250-backend\n< 250 STARTTLS\nserve", true, delivered, false},
		{"require", "smtp://mail.test?starttls=require", afterStartTLS, true, delivered, true},
		{"require, lmtp", "lmtp://mail.test:24?starttls=require", strings.ReplaceAll(afterStartTLS, "EHLO", "LHLO"), true, delivered, true},
		{"require, not offered", "smtp://mail.test?starttls=require", plain, true, "MAIL 451 4.3.5, RCPT 451 4.3.5", false},
		{"require, unknown issuer", "smtp://mail.test?starttls=require", afterStartTLS, false, "MAIL 451 4.7.5, RCPT 451 4.7.5", false},
		{"require, other name", "smtp://other.test?starttls=require", afterStartTLS, true, "MAIL 451 4.7.5, RCPT 451 4.7.5", false},
		{"require, name given", "smtp://other.test?starttls=require&name=mail.test", afterStartTLS, true, delivered, true},
		{"smtps", "smtps://mail.test", "tls\n< 220 ready\nserve", true, delivered, true},
		{"smtps, unknown issuer", "smtps://mail.test", "tls", false, "MAIL 451 4.7.5, RCPT 451 4.7.5", false},
		{"smtps, closes", "smtps://mail.test", "close", true, "MAIL 451 4.7.5, RCPT 451 4.7.5", false},
		{"more in plaintext after the reply to STARTTLS", "smtp://mail.test?starttls=require",
			upToStartTLS + `<- 220 go on\r\n250-backend\r\n250 SIZE 1\r\n` + "\nhang", true, "MAIL 451 4.5.0, RCPT 451 4.5.0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, pair := secureBackend(t, tt.script)
			hop := b.hopTCP(tt.url)
			if tt.trusted {
				hop.tls.RootCAs = pair.Pool
			}
			s := hop.Open(someSender)
			checkDeliver(t, s, tt.replies)
			b.end(s)
			if got := hop.Extensions().RequireTLS; got != tt.requireTLS {
				t.Errorf("REQUIRETLS offered: %t", got)
			}
		})
	}
}

// TestPlaintextCapabilitiesDoNotCount: RFC 3207, Section 4.2.
func TestPlaintextCapabilitiesDoNotCount(t *testing.T) {
	b, _ := secureBackend(t, strings.Replace(afterStartTLS, "250 STARTTLS", "250-SIZE 1\n< 250 STARTTLS", 1))
	hop := b.hopTCP("smtp://mail.test")
	if err := hop.Probe(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.wait()
	if got, want := hop.Extensions(), (smtp.Extensions{DSN: true}); got != want {
		t.Errorf("extensions %+v, want %+v", got, want)
	}
}

// TestTLSSessionResumes: later sessions need no certificate.
func TestTLSSessionResumes(t *testing.T) {
	b, pair := secureBackend(t, "tls\n< 220 ready\nserve")
	b.scripts = append(b.scripts, b.scripts[0])
	resumed := make(chan bool, 2)
	b.tls.VerifyConnection = func(state tls.ConnectionState) error {
		resumed <- state.DidResume
		return nil
	}
	hop := b.hopTCP("smtps://mail.test")
	hop.tls.RootCAs = pair.Pool
	for range 2 {
		s := hop.Open(someSender)
		checkDeliver(t, s, delivered)
		s.Close()
	}
	b.wait()
	if first, second := <-resumed, <-resumed; first || !second {
		t.Errorf("resumed: %t, %t", first, second)
	}
}

func TestTLSErrorsNameTheRemedy(t *testing.T) {
	for url, want := range map[string]string{
		"smtp://other.test?starttls=require": `relay: STARTTLS: tls: failed to verify certificate: ` +
			`x509: certificate is valid for mail.test, not other.test (certificate must be valid for "other.test" and signed by an authority that this system trusts)`,
		"lmtp://mail.test:24?starttls=require": "relay: STARTTLS: server does not offer STARTTLS; enable it there or remove starttls=require",
	} {
		script := afterStartTLS
		if strings.HasPrefix(url, "lmtp") {
			script = "< 220 ready\n> LHLO *\n< 250 backend\nhang"
		}
		b, _ := secureBackend(t, script)
		err := b.hopTCP(url).Probe(context.Background())
		b.wait()
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", url, err, want)
		}
	}
}
