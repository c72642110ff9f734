package interop_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

func sendOpenSSL(o testpeer.OpenSSLOptions) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) { testpeer.SendOpenSSL(t, addr, o) }
}

func sendOpenSSLTwice(h testpeer.Handshake) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		o := testpeer.OpenSSLOptions{Handshake: h, SessionFile: filepath.Join(t.TempDir(), "session")}
		for range 2 {
			testpeer.SendOpenSSL(t, addr, o)
		}
	}
}

func showCertificate(args ...string) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		own := testcert.New(t, testcert.Options{Names: []string{"sender.test"}})
		testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{Args: append([]string{"-cert", own.CertFile, "-key", own.KeyFile}, args...)})
	}
}

func sendGnuTLS(h testpeer.Handshake) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		testpeer.SendGnuTLS(t, addr, testpeer.GnuTLSOptions{Handshake: h})
	}
}

func sendPostfix(o testpeer.QueueOptions) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) { testpeer.SendPostfix(t, addr, o) }
}

// distrust makes Postfix want a fingerprint that the certificate does not have. It
// would put the message off and try for days: the filter makes it give up at once.
func distrust(t *testing.T, _ *receiver, addr string) {
	filter := filepath.Join(t.TempDir(), "filter")
	if err := os.WriteFile(filter, []byte(`/^4\.7\.5 (.*)/ 5.7.5 $1`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	testpeer.SendPostfix(t, addr, testpeer.QueueOptions{Config: []string{
		"smtp_tls_security_level = fingerprint",
		"smtp_tls_fingerprint_digest = sha256",
		"smtp_tls_fingerprint_cert_match = " + strings.Repeat("00:", 31) + "00",
		"smtp_delivery_status_filter = regexp:" + filter,
	}})
}

func sendExim(o testpeer.QueueOptions) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) { testpeer.SendExim(t, addr, o) }
}

func asks(auth tls.ClientAuthType) func(*testing.T, *receiver) {
	return func(_ *testing.T, r *receiver) { r.config.ClientAuth, r.config.ClientCAs = auth, r.pair.Pool }
}

// expired gives the server a certificate that was valid once.
func expired(t *testing.T, r *receiver) {
	t.Helper()
	r.pair = testcert.New(t, testcert.Options{NotAfter: time.Now().Add(-24 * time.Hour)})
	r.config.Certificates = []tls.Certificate{r.pair.TLS}
}

const pythonVersion = `import platform, ssl; print(platform.python_version(), "on", ssl.OPENSSL_VERSION)`

// pythonSender takes host and port.
const pythonSender = `
import smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
server = smtplib.SMTP(sys.argv[1], int(sys.argv[2]))
server.starttls(context=context)
server.sendmail("sender@sender.test", ["user@localhost"], "Subject: hello\r\n\r\nhello\r\n")
server.quit()
`

// playJava runs testdata/Sender.java, which java compiles by itself.
func playJava(mode string) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		run(t, "", "java", append([]string{"testdata/Sender.java", mode}, splitHostPort(t, addr)...)...)
	}
}

func splitHostPort(t *testing.T, addr string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return []string{host, port}
}
