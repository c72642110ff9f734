package interop_test

import (
	"fmt"
	"testing"
	"time"

	"postern/handshake"
	"postern/interop"
)

// first is the likeliest diagnosis of a recorded handshake that was altered, in words.
func first(t *testing.T, name string, alter func(*handshake.Transcript)) string {
	t.Helper()
	g, _, err := readGolden(name)
	if err != nil {
		t.Fatal(err)
	}
	alter(g.transcript)
	found := diagnose(g.transcript)
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %v", found[0].Case.ID, found[0].Confidence)
}

// The server's alert and what the ClientHello lacks must fit each other.
func TestServersRefuseAClientHelloWithCertainAlerts(t *testing.T) {
	for name, alerts := range map[string]map[handshake.AlertDescription]string{
		"no-shared-suite":      {40: "no-shared-suite, almost certain", 71: "no-shared-suite, almost certain", 70: "", 72: "", 80: "unknown-sni, possible"},
		"tls10-only":           {70: "tls10-only, almost certain", 40: "tls10-only, almost certain", 71: "", 47: ""},
		"group-mismatch":       {40: "group-mismatch, almost certain", 71: "", 47: ""},
		"sha1-signatures-only": {40: "sha1-signatures-only, almost certain", 71: ""},
		"rsa-only-client":      {40: "rsa-only-client, likely", 71: ""},
		"unknown-sni":          {112: "unknown-sni, almost certain", 80: "unknown-sni, possible", 113: "", 40: ""},
	} {
		for description, want := range alerts {
			if got := first(t, name, func(t *handshake.Transcript) { alertWith(t, description) }); got != want {
				t.Errorf("%s, alert %d: %q, want %q", name, description, got, want)
			}
		}
	}
}

// bad_certificate to certificate_unknown, unknown_ca and bad_certificate_status_response
// are about the certificate (RFC 8446, Section 6.2).
func TestAlertsAboutTheCertificate(t *testing.T) {
	about := map[handshake.AlertDescription]bool{42: true, 43: true, 44: true, 45: true, 46: true, 48: true, 113: true}
	for description := handshake.AlertDescription(0); description < 130; description++ {
		got := first(t, "certificate-refused", func(t *handshake.Transcript) { alertWith(t, description) })
		if (got == "certificate-refused, almost certain") != about[description] {
			t.Errorf("alert %d: %q", description, got)
		}
	}
}

// Signature schemes for RSA keys: rsa_pkcs1 with each hash of TLS 1.2 and RSASSA-PSS.
func TestSignaturesOfRSAKeys(t *testing.T) {
	for scheme, rsa := range map[handshake.SignatureScheme]bool{
		0x0401: true, 0x0501: true, 0x0601: true, 0x0701: false, 0x0403: false, 0x0402: false, 0x0807: false,
		0x0804: true, 0x0805: true, 0x0806: true, 0x0809: true, 0x080a: true, 0x080b: true, 0x0803: false, 0x080c: false,
	} {
		transcript := clone(goldens(t)["rsa-only-client"].transcript)
		transcript.ClientHello.Suites = []handshake.Suite{0x1301, 0xc02b}
		transcript.ClientHello.Versions = []handshake.Version{0x0304, 0x0303}
		transcript.ClientHello.Signatures = []handshake.SignatureScheme{scheme}
		if got := len(diagnose(transcript)) == 1; got != rsa {
			t.Errorf("%v alone: for RSA only is %v", scheme, got)
		}
		transcript.ClientHello.Signatures = nil
		if got := ids(diagnose(transcript)); got != nil {
			t.Errorf("no scheme is named: %q", got)
		}
	}
}

// The signature schemes of a ClientHello that did not arrive are not known. A device that resets the
// connection may have read them; where neither side resets it, the rest just did not arrive.
func TestResetWithinAClientHelloMayBeAboutItsSignatures(t *testing.T) {
	for end, want := range map[handshake.EndKind]string{
		handshake.EndReset:  "ml-dsa-hello, less likely: of a ClientHello of 1500 bytes the last 200 never arrived; the client's side reset the connection, without an alert",
		handshake.EndClosed: "",
	} {
		transcript := clone(goldens(t)["big-hello"].transcript)
		transcript.End.Kind, transcript.End.By = end, handshake.Client
		transcript.Messages[0].Size, transcript.Messages[0].Missing = 1500, 200
		got := ""
		found, _ := interop.Diagnose(transcript)
		for _, d := range found {
			if d.Case.ID == "ml-dsa-hello" {
				got = fmt.Sprintf("%s, %v: %s; %s", d.Case.ID, d.Confidence, d.Observations[0].Text, d.Observations[1].Text)
			}
		}
		if got != want {
			t.Errorf("%v: %q, want %q", end, got, want)
		}
	}
}

func TestWhatIsReadInPlaceOfTLS(t *testing.T) {
	for _, c := range []struct{ golden, text, want string }{
		{"plaintext-after-starttls", "EHLO mx\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "helo mx\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "MAIL", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "RCPT TO:<", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "DATA\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "BDAT 9", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "RSET\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "NOOP\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "AUTH PLAIN", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "VRFY a", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "STARTTLS\r\n", "plaintext-after-starttls, almost certain"},
		{"plaintext-after-starttls", "EHL", ""},
		{"plaintext-after-starttls", "GET / HTTP/1.1", ""},
		{"inspected-by-firewall", "XXX\r\n", "inspected-by-firewall, likely"},
		{"inspected-by-firewall", "****TLS\r\n", "inspected-by-firewall, likely"},
		{"inspected-by-firewall", "XX\r\n", ""},
		{"inspected-by-firewall", "\r\nXXXX", ""},
		{"sslv2-hello", "\x80.\x01\x03\x01", "sslv2-hello, almost certain"},
		{"sslv2-hello", "\xff.\x01\x00\x02", "sslv2-hello, almost certain"},
		{"sslv2-hello", "\x80.\x01\x00\x03", ""},
		{"sslv2-hello", "\x80.\x01\x02\x02", ""},
		{"sslv2-hello", "\x80.\x02\x03\x01", ""},
		{"sslv2-hello", "\x7f.\x01\x03\x01", ""},
		{"sslv2-hello", "\x80.\x01\x03", ""},
		{"tls-without-starttls", "220 mx", "tls-without-starttls, almost certain"},
		{"tls-without-starttls", "220-mx", "tls-without-starttls, almost certain"},
		{"tls-without-starttls", "* OK IMAP", "tls-without-starttls, almost certain"},
		{"tls-without-starttls", "+OK POP3", "tls-without-starttls, almost certain"},
		{"tls-without-starttls", "500 5.5.1", "tls-without-starttls, likely"},
		{"tls-without-starttls", "501 5.5.1", "tls-without-starttls, likely"},
		{"tls-without-starttls", "502 5.5.1", "tls-without-starttls, likely"},
		{"tls-without-starttls", "503 5.5.1", "tls-without-starttls, likely"},
		{"tls-without-starttls", "* BAD", "tls-without-starttls, likely"},
		{"tls-without-starttls", "-ERR", "tls-without-starttls, likely"},
		{"tls-without-starttls", "2200", ""},
		{"tls-without-starttls", "421 busy", ""},
	} {
		if got := first(t, c.golden, func(t *handshake.Transcript) { t.NotTLS = []byte(c.text) }); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// A client that says QUIT, asks for a web page or says nothing is no sender that failed.
func TestClientsThatWantNoTLS(t *testing.T) {
	for text, want := range map[string]bool{
		"QUIT\r\n": false, "quit\r\n": false, "GET / HTTP/1.1": false, "HEAD / HTTP/1.0": false, "POST / HTTP/1.1": false,
		"OPTIONS * HTTP": false, "CONNECT mx:25": false, "GETS": true, "\x16\x03": true,
	} {
		transcript := clone(goldens(t)["unknown.no-tls"].transcript)
		transcript.NotTLS = []byte(text)
		if got := failed(transcript); got != want {
			t.Errorf("%q: failed is %v", text, got)
		}
	}
	silent := clone(goldens(t)["healthy.port-scanner"].transcript)
	if failed(silent) {
		t.Error("a client that said nothing has failed")
	}
	with(handshake.Client, handshake.TypeClientHello)(silent)
	if !failed(silent) {
		t.Error("a client that began a handshake has not failed")
	}
}

func TestBrowsersAreKnownByTheirProtocols(t *testing.T) {
	for protocol, want := range map[string]string{"h2": "", "http/1.1": "", "smtp": "leaves-after-handshake, possible", "h3": "leaves-after-handshake, possible"} {
		if got := first(t, "leaves-after-handshake", func(t *handshake.Transcript) { t.ClientHello.ALPN = []string{"x", protocol} }); got != want {
			t.Errorf("%s: %q, want %q", protocol, got, want)
		}
	}
}

// Sizes and times at which a cause begins or ends to be one.
func TestBoundsOfTheEvidence(t *testing.T) {
	waits := func(d time.Duration) func(*handshake.Transcript) {
		return func(t *handshake.Transcript) {
			t.End.Kind, t.End.At = handshake.EndClosed, t.Messages[len(t.Messages)-1].At+d
		}
	}
	sent := func(kind handshake.MessageType, n int) func(*handshake.Transcript) {
		return func(t *handshake.Transcript) { size(t, kind, n) }
	}
	for _, c := range []struct {
		golden string
		alter  func(*handshake.Transcript)
		want   string
	}{
		{"big-hello", sent(handshake.TypeClientHello, 1200), "big-hello, likely"},
		{"big-hello", sent(handshake.TypeClientHello, 1199), ""},
		{"big-hello", func(t *handshake.Transcript) { t.Messages[0].Missing = 0 }, ""},
		{"big-hello", func(t *handshake.Transcript) { t.Messages[0].Missing = 1 }, "big-hello, likely"},
		{"big-hello.closed", func(t *handshake.Transcript) { t.End.By = handshake.Server }, ""},
		{"ticket-after-finished", sent(handshake.TypeNewSessionTicket, 2048), "ticket-after-finished, possible"},
		{"ticket-after-finished", sent(handshake.TypeNewSessionTicket, 2049), "large-ticket, possible"},
		{"schannel-tls12-ticket", sent(handshake.TypeNewSessionTicket, 2048), "schannel-tls12-ticket, possible"},
		{"schannel-tls12-ticket", sent(handshake.TypeNewSessionTicket, 2049), "large-ticket, possible"},
		{"flight-did-not-arrive", waits(3 * time.Second), "flight-did-not-arrive, likely"},
		{"flight-did-not-arrive", waits(3*time.Second - 1), ""},
	} {
		if got := first(t, c.golden, c.alter); got != c.want {
			t.Errorf("%s: %q, want %q", c.golden, got, c.want)
		}
	}
}

// A client that ends the handshake can say so in three ways: an alert says most, a close
// less, and the server's own end nothing.
func TestWaysToEndTheHandshake(t *testing.T) {
	const closed, reset, alerted, timeout = handshake.EndClosed, handshake.EndReset, handshake.EndAlert, handshake.EndTimeout
	end := func(kind handshake.EndKind, by handshake.Side) func(*handshake.Transcript) {
		return func(t *handshake.Transcript) {
			if kind == alerted {
				t.Messages = append(t.Messages, handshake.Message{
					From: by, Type: handshake.TypeAlert, Alert: &handshake.Alert{Fatal: true, Description: 80},
				})
			}
			t.End = handshake.End{Kind: kind, By: by, At: t.End.At, After: len(t.Messages)}
		}
	}
	for _, c := range []struct {
		golden string
		kind   handshake.EndKind
		by     handshake.Side
		want   string
	}{
		{"hello-retry-refused", closed, handshake.Client, "hello-retry-refused, likely"},
		{"hello-retry-refused", reset, handshake.Client, "hello-retry-refused, likely"},
		{"hello-retry-refused", alerted, handshake.Client, "hello-retry-refused, likely"},
		{"hello-retry-refused", closed, handshake.Server, ""},
		{"hello-retry-refused", timeout, handshake.Client, ""},
		{"client-certificate-asked.tls12", closed, handshake.Client, "client-certificate-asked, possible"},
		{"client-certificate-asked.tls12", reset, handshake.Client, "client-certificate-asked, possible"},
		{"client-certificate-asked.tls12", alerted, handshake.Client, "client-certificate-asked, possible"},
		{"client-certificate-asked.tls12", alerted, handshake.Server, "client-certificate-asked, almost certain"},
		{"client-certificate-asked.tls12", closed, handshake.Server, ""},
		{"client-certificate-asked.tls12", timeout, handshake.Client, ""},
		{"large-ticket", closed, handshake.Client, "large-ticket, possible"},
		{"large-ticket", alerted, handshake.Client, "large-ticket, likely"},
		{"large-ticket", closed, handshake.Server, ""},
		{"large-ticket", timeout, handshake.Client, ""},
		{"every-other-connection", closed, handshake.Server, "every-other-connection, likely"},
		{"every-other-connection", reset, handshake.Server, "every-other-connection, likely"},
		{"every-other-connection", handshake.EndDropped, handshake.Server, "every-other-connection, likely"},
		{"every-other-connection", alerted, handshake.Server, "every-other-connection, likely"},
		{"every-other-connection", closed, handshake.Client, ""},
		{"every-other-connection", timeout, handshake.Client, ""},
		{"ml-dsa-hello", reset, handshake.Client, "ml-dsa-hello, likely"},
		{"ml-dsa-hello", closed, handshake.Client, ""},
		{"ml-dsa-hello", reset, handshake.Server, ""},
	} {
		if got := first(t, c.golden, end(c.kind, c.by)); got != c.want {
			t.Errorf("%s, %v by the %v: %q, want %q", c.golden, c.kind, c.by, got, c.want)
		}
	}
}
