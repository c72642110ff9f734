package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// realPeers are the programs that the transcripts are recorded from.
var realPeers = []scenario{
	{
		name: "healthy.openssl", comment: "full TLS 1.3 handshake",
		peer: openSSL, play: sendOpenSSL(testpeer.OpenSSLOptions{}),
	},
	{
		name: "healthy.openssl-resumed", comment: "resumed", pick: 1,
		peer: openSSL, play: sendOpenSSLTwice(testpeer.UsualHandshake),
	},
	{
		name: "healthy.openssl-tls12", comment: "full TLS 1.2 handshake",
		peer: openSSL, play: sendOpenSSLTwice(testpeer.TLS12Handshake),
	},
	{
		name: "healthy.openssl-tls12-resumed", comment: "resumed in TLS 1.2", pick: 1,
		peer: openSSL, play: sendOpenSSLTwice(testpeer.TLS12Handshake),
	},
	{
		name: "healthy.openssl-retried", comment: "with a HelloRetryRequest",
		peer: openSSL, play: sendOpenSSL(testpeer.OpenSSLOptions{Handshake: testpeer.RetriedHandshake}),
	},
	{
		name: "healthy.openssl-early-ticket", comment: "survives an early ticket: the server's mode is stock",
		peer: openSSL, mode: sessionticket.Stock, play: sendOpenSSL(testpeer.OpenSSLOptions{}),
	},
	{
		name: "healthy.openssl-own-write", comment: "the ticket is sent in a write of its own",
		peer: openSSL, mode: sessionticket.OwnWrite, play: sendOpenSSL(testpeer.OpenSSLOptions{}),
	},
	{
		name: "healthy.openssl-no-ticket", comment: "no ticket is sent",
		peer: openSSL, mode: sessionticket.NoTicket, play: sendOpenSSL(testpeer.OpenSSLOptions{}),
	},
	{
		name: "healthy.certificate-monitor", comment: "openssl s_client without input, as certificate monitors run it",
		peer: openSSL,
		play: func(t *testing.T, _ *receiver, addr string) {
			run(t, "", "openssl", "s_client", "-starttls", "smtp", "-connect", addr, "-servername", "localhost")
		},
	},
	{
		name: "healthy.gnutls", comment: "full handshake, EHLO, then resumption in another connection",
		peer: gnuTLS, play: sendGnuTLS(testpeer.UsualHandshake),
	},
	{
		name: "healthy.gnutls-resumed", comment: "resumed", pick: 1,
		peer: gnuTLS, play: sendGnuTLS(testpeer.UsualHandshake),
	},
	{
		name: "healthy.gnutls-tls12", comment: "resumed in TLS 1.2", pick: 1,
		peer: gnuTLS, play: sendGnuTLS(testpeer.TLS12Handshake),
	},
	{
		name: "healthy.postfix", comment: "full handshake",
		peer: postfix, play: sendPostfix(testpeer.QueueOptions{}),
	},
	{
		name: "healthy.postfix-resumed", comment: "a second message, resumed", pick: 1,
		peer: postfix, play: sendPostfix(testpeer.QueueOptions{Messages: 2, Config: []string{"default_destination_concurrency_limit = 1"}}),
	},
	{
		name: "healthy.exim", comment: "full handshake",
		peer: exim, play: sendExim(testpeer.QueueOptions{}),
	},
	{
		name: "healthy.exim-resumed", comment: "a second message, resumed", pick: 1,
		peer: exim, play: sendExim(testpeer.QueueOptions{Messages: 2}),
	},
	{
		name: "healthy.swaks", comment: "full handshake",
		peer: version("swaks", "swaks", "--version"),
		play: func(t *testing.T, _ *receiver, addr string) { testpeer.SendSwaks(t, addr, testpeer.SwaksOptions{}) },
	},
	{
		name: "healthy.python", comment: "smtplib of the standard library",
		peer: version("Python", "python3", "-c", pythonVersion),
		play: func(t *testing.T, _ *receiver, addr string) {
			run(t, "", "python3", append([]string{"-c", pythonSender}, splitHostPort(t, addr)...)...)
		},
	},
	{
		name: "healthy.curl", comment: "smtp:// with --ssl-reqd",
		peer: version("curl", "curl", "--version"),
		play: func(t *testing.T, _ *receiver, addr string) {
			run(t, "Subject: hello\r\n\r\nhello\r\n", "curl", "--silent", "--ssl-reqd", "--insecure", "--url", "smtp://"+addr,
				"--mail-from", "sender@sender.test", "--mail-rcpt", "user@localhost", "--upload-file", "-")
		},
	},
	{
		name: "healthy.java", comment: "a JSSE SSLSocket that accepts any certificate",
		peer: version("JSSE of", "java", "--version"),
		play: playJava("insecure"),
	},
	{
		name: "certificate-refused", comment: "OpenSSL verifies, and the issuer is unknown",
		peer: openSSL,
		play: func(t *testing.T, _ *receiver, addr string) {
			other := testcert.New(t, testcert.Options{})
			testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{CAFile: other.CertFile})
		},
	},
	{
		name: "certificate-refused.expired", comment: "GnuTLS finds the certificate expired", peer: gnuTLS,
		server: expired,
		play: func(t *testing.T, r *receiver, addr string) {
			testpeer.SendGnuTLS(t, addr, testpeer.GnuTLSOptions{CAFile: r.pair.CertFile})
		},
	},
	{
		name: "certificate-refused.python", comment: "Python verifies, and the issuer is unknown",
		peer: version("Python", "python3", "-c", pythonVersion),
		play: func(t *testing.T, _ *receiver, addr string) {
			run(t, "", "python3", append([]string{"-c", strings.Replace(pythonSender, "CERT_NONE", "CERT_REQUIRED", 1)}, splitHostPort(t, addr)...)...)
		},
	},
	{
		name: "certificate-refused.java", comment: "JSSE verifies, and the issuer is unknown",
		peer: version("JSSE of", "java", "--version"),
		play: playJava("verify"),
	},
	{
		name: "leaves-after-handshake", comment: "Postfix requires a fingerprint that the certificate does not have",
		peer: postfix,
		play: distrust,
	},
	{
		name: "tls10-only", comment: "s_client -tls1", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1", "-cipher", "DEFAULT@SECLEVEL=0"}}),
	},
	{
		name: "tls10-only.tls11", comment: "s_client -tls1_1", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}}),
	},
	{
		name: "no-shared-suite", comment: "RSA key exchange only", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1_2", "-cipher", "kRSA"}}),
	},
	{
		name: "rsa-only-client", comment: "suites for RSA certificates only, and the server's is ECDSA", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1_2", "-cipher", "ECDHE+aRSA"}}),
	},
	{
		name: "rsa-only-client.tls13", comment: "signatures of RSA keys only, and the server's is ECDSA", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"}}),
	},
	{
		name: "sha1-signatures-only", comment: "TLS 1.2 with signatures over SHA-1 only", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1", "-cipher", "DEFAULT@SECLEVEL=0"}}),
	},
	{
		name: "group-mismatch", comment: "X448 only", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-groups", "X448"}}),
	},
	{
		name: "group-mismatch.tls12", comment: "brainpoolP256r1 only, in TLS 1.2", peer: openSSL,
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-tls1_2", "-groups", "brainpoolP256r1"}}),
	},
	{
		name: "unknown-sni", comment: "the server's GetCertificate finds none for other.test", peer: openSSL,
		server: func(_ *testing.T, r *receiver) {
			r.config.Certificates = nil
			r.config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		},
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-servername", "other.test"}}),
	},
	{
		name: "unknown-sni.internal-error", comment: "the server's GetCertificate returns an error for other.test", peer: openSSL,
		server: func(_ *testing.T, r *receiver) {
			r.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return nil, errors.New("no certificate for " + hello.ServerName)
			}
		},
		play: sendOpenSSL(testpeer.OpenSSLOptions{Args: []string{"-servername", "other.test"}}),
	},
	{
		name: "client-certificate-asked", comment: "the client sends a certificate that the server cannot verify", peer: openSSL,
		server: asks(tls.VerifyClientCertIfGiven), play: showCertificate(),
	},
	{
		name: "client-certificate-asked.tls12", comment: "the same in TLS 1.2", peer: openSSL,
		server: asks(tls.VerifyClientCertIfGiven), play: showCertificate("-tls1_2"),
	},
	{
		name: "client-certificate-asked.none", comment: "the client has none, and the server requires one", peer: openSSL,
		server: asks(tls.RequireAnyClientCert), play: sendOpenSSL(testpeer.OpenSSLOptions{}),
	},
}

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

// distrust makes Postfix require a fingerprint that the certificate does not have. It
// would defer the message and retry for days: the filter makes it give up at once.
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

// expired gives the server an expired certificate.
func expired(t *testing.T, r *receiver) {
	t.Helper()
	r.pair = testcert.New(t, testcert.Options{NotAfter: time.Now().Add(-24 * time.Hour)})
	r.config.Certificates = []tls.Certificate{r.pair.TLS}
}

const pythonVersion = `import platform, ssl; print(platform.python_version(), "on", ssl.OPENSSL_VERSION)`

// pythonSender is a Python script; its arguments are host and port.
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

// playJava runs testdata/Sender.java, which java compiles itself.
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

// run runs a client until it exits. Its status does not matter, only the recording.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	t.Logf("%s: %v\n%s", name, err, output)
	return string(output)
}

// version returns the name of a peer from the first line that a command prints.
func version(software string, command ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		line, _, _ := strings.Cut(run(t, "", command[0], command[1:]...), "\n")
		line = strings.TrimSpace(line)
		if strings.Contains(strings.ToLower(line), strings.ToLower(software)) {
			return line
		}
		return software + " " + line
	}
}

var (
	openSSL = version("OpenSSL", "openssl", "version")
	gnuTLS  = version("GnuTLS", "gnutls-cli", "--version")
	postfix = version("Postfix", "/usr/sbin/postconf", "-dh", "mail_version")
)

var eximVersion = regexp.MustCompile(`Exim version \S+`)

// exim finds Exim, also where scripts/install-peers unpacks it.
func exim(t *testing.T) string {
	t.Helper()
	name := "exim4"
	if unpacked := "../.cache/exim4/usr/sbin/exim4"; exists(unpacked) {
		name = unpacked
	}
	return eximVersion.FindString(run(t, "", name, "-C", "/dev/null", "-bV"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
