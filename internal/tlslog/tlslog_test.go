package tlslog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/interop"
)

// A reading is what a log says.
type reading struct {
	program string
	view    handshake.View
	ended   string
	ja4     string // empty if the log does not list the whole ClientHello
	cases   []string
	failed  bool
}

const (
	openssl30  = "t13i310900_e8f1e7e78f70_1f22a2ca17c4"
	gnutls37   = "t13i291200_723694b0fccc_2cc26d266019"
	postfix312 = "t13i751000_52bf2443d8e6_24695f2957a7"
)

var (
	certificate = []string{"certificate-refused"}
	goodbye     = "closed by the client (close_notify)"
	open        = "still open when the recording stopped"
	refused     = "ended by the client with the alert unknown_ca"
)

// The fingerprints are those that a server has recorded of the same programs.
var readings = map[string]reading{
	"openssl-3.0.s_client-trace.ticket":              {"OpenSSL", handshake.AtClient, goodbye, openssl30, nil, false},
	"openssl-3.0.s_client-msg.early-ticket":          {"OpenSSL", handshake.AtClient, goodbye, openssl30, nil, false},
	"openssl-3.0.s_client-trace.tls12":               {"OpenSSL", handshake.AtClient, goodbye, "", nil, false}, // a line in the ClientHello is broken by another
	"openssl-3.0.s_client-trace.certificate-refused": {"OpenSSL", handshake.AtClient, refused, openssl30, certificate, true},
	"openssl-3.0.s_server-trace.certificate-refused": {"OpenSSL", handshake.AtServer, refused, openssl30, certificate, true},
	"openssl-3.0.s_client-msg.certificate-refused.tls12": {"OpenSSL", handshake.AtClient, refused,
		"t12i280600_d943125447b4_e7e480e5a997", certificate, true},
	"openssl-3.0.s_client-trace.hello-retry": {"OpenSSL", handshake.AtClient, goodbye, openssl30, nil, false},
	"openssl-3.0.s_client-msg.resumed":       {"OpenSSL", handshake.AtClient, goodbye, "t13i041000_16476d049b0b_6775ac8fe30b", nil, false},
	"openssl-3.0.s_client-trace.reset":       {"OpenSSL", handshake.AtClient, "connection reset by the server, after ClientHello", openssl30, nil, true},
	"openssl-3.0.s_client-msg.closed": {"OpenSSL", handshake.AtClient, "closed silently by the server, after ClientHello",
		"t13d3111sp_e8f1e7e78f70_1f22a2ca17c4", nil, true},
	"openssl-3.0.s_client-msg.internal_error": {"OpenSSL", handshake.AtClient, "ended by the server with the alert internal_error",
		"t11i230500_44099cda8a52_195413a0cc0f", nil, true},
	"openssl-3.0.s_server-trace.closed-twice":  {"OpenSSL", handshake.AtServer, "closed silently by the client, after the server's Finished", openssl30, nil, true},
	"openssl-3.0.s_server-trace.goodbye":       {"OpenSSL", handshake.AtServer, goodbye, openssl30, nil, false},
	"postfix-3.12.posttls-finger.early-ticket": {"OpenSSL", handshake.AtClient, goodbye, postfix312, nil, false},
	"postfix-3.12.posttls-finger.tls12":        {"OpenSSL", handshake.AtClient, goodbye, postfix312, nil, false},
	"postfix-3.12.smtpd.closed":                {"OpenSSL", handshake.AtServer, open, openssl30, nil, false}, // only the mail log says that the client closed
	"postfix-3.12.smtpd.certificate-refused":   {"OpenSSL", handshake.AtServer, refused, openssl30, certificate, true},
	"postfix-3.12.smtpd.quit":                  {"OpenSSL", handshake.AtServer, "closed by the server (close_notify)", openssl30, nil, false},
	"postfix-3.12.smtpd.truncated":             {"OpenSSL", handshake.AtServer, open, openssl30, nil, false},
	"gnutls-3.7.gnutls-cli.ticket":             {"GnuTLS", handshake.AtClient, "closed by the server (close_notify)", gnutls37, nil, false},
	"gnutls-3.7.gnutls-cli.tls12":              {"GnuTLS", handshake.AtClient, "closed by the server (close_notify)", gnutls37, nil, false},
	"gnutls-3.7.gnutls-cli.certificate-refused": {"GnuTLS", handshake.AtClient,
		"closed silently by the client, after the server's CertificateVerify", gnutls37, nil, true},
}

func read(t testing.TB, name string) []Session {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sessions, _, err := Read(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return sessions
}

func TestReadsLogsOfRealPrograms(t *testing.T) {
	for name, want := range readings {
		sessions := read(t, "testdata/"+name+".txt")
		if n := 1 + strings.Count(name, "twice"); len(sessions) != n {
			t.Errorf("%s: %d sessions, want %d", name, len(sessions), n)
		}
		for _, s := range sessions {
			got := reading{program: s.Program, view: s.Transcript.View, ended: s.Transcript.DescribeEnd()}
			if hello := s.Transcript.ClientHello; hello != nil {
				got.ja4 = hello.JA4
			}
			diagnoses, failed := interop.Diagnose(s.Transcript)
			got.failed = failed
			for _, d := range diagnoses {
				got.cases = append(got.cases, d.Case.ID)
			}
			if got.program != want.program || got.view != want.view || got.ended != want.ended || got.ja4 != want.ja4 ||
				!slices.Equal(got.cases, want.cases) || got.failed != want.failed {
				t.Errorf("%s:\n%+v, want\n%+v", name, got, want)
			}
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < len(readings) {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// OpenSSL and GnuTLS read a ticket after they have sent their Finished, whenever it was sent.
func TestNoLogShowsAnEarlyTicket(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	tickets := 0
	for _, name := range files {
		for _, s := range read(t, name) {
			if s.Transcript == nil {
				continue
			}
			for i, m := range s.Transcript.Messages {
				if m.Type == handshake.TypeNewSessionTicket {
					tickets++
				}
				if s.Transcript.IsEarlyTicket(i) {
					t.Errorf("%s: message %d is an early ticket", name, i)
				}
			}
			diagnoses, _ := interop.Diagnose(s.Transcript)
			for _, d := range diagnoses {
				if d.Case.ID == "early-ticket" {
					t.Errorf("%s is an early-ticket", name)
				}
			}
		}
	}
	if tickets < 4 {
		t.Errorf("%d tickets in all logs", tickets)
	}
}

func TestReadsTheMessagesOfATrace(t *testing.T) {
	s := read(t, "testdata/postfix-3.12.posttls-finger.early-ticket.txt")[0].Transcript
	var got []string
	for _, m := range s.Messages {
		got = append(got, m.From.String()+" "+m.Type.String())
	}
	want := []string{
		"client ClientHello", "server ServerHello", "server ChangeCipherSpec", "server EncryptedExtensions", "server Certificate", "server CertificateVerify",
		"server Finished", "client ChangeCipherSpec", "client Finished", "client ApplicationData", "server NewSessionTicket",
		"server ApplicationData", "client Alert",
	}
	if !slices.Equal(got, want) {
		t.Errorf("messages %q, want %q", got, want)
	}
	if !s.Completed || s.Use != handshake.UseData || s.ServerHello.Group.String() != "x25519" || s.Messages[10].Ticket == nil {
		t.Errorf("the transcript is %+v", s)
	}
}

func TestReadsARetryAndAResumption(t *testing.T) {
	s := read(t, "testdata/openssl-3.0.s_client-trace.hello-retry.txt")[0].Transcript
	if s.Messages[1].Type != handshake.TypeHelloRetryRequest || s.Messages[3].Type != handshake.TypeClientHello || s.Messages[3].Encrypted || !s.Completed {
		t.Errorf("the messages of a retry are %+v", s.Messages)
	}
	s = read(t, "testdata/openssl-3.0.s_client-msg.resumed.txt")[0].Transcript
	if !s.ClientHello.PSK || !s.ServerHello.Resumed {
		t.Errorf("hellos of a resumption: %+v, %+v", s.ClientHello, s.ServerHello)
	}
}

// Postfix's mail log names messages, and how a failed handshake ended.
func TestReadsPostfixsMailLog(t *testing.T) {
	var got []string
	for _, s := range append(read(t, "testdata/postfix-3.12.maillog.txt"), read(t, "testdata/postfix-3.12.maillog.client.txt")...) {
		diagnoses, failed := interop.Diagnose(s.Transcript)
		cases := ""
		for _, d := range diagnoses {
			cases += " " + d.Case.ID
		}
		got = append(got, fmt.Sprintf("%v %v%s: %s, %s", s.Completed, failed, cases, s.Transcript.DescribeEnd(), s.Negotiated))
	}
	want := []string{
		"false true: closed silently by the client, after the server's Finished, ",
		"false true: connection reset by the client, after the server's Finished, ",
		"false true certificate-refused: ended by the client with the alert unknown_ca, ",
		"true false: still open when the recording stopped, TLSv1.3 with cipher TLS_AES_256_GCM_SHA384",
		"true false: still open when the recording stopped, TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384",
		"true false: still open when the recording stopped, TLSv1.1 with cipher ECDHE-ECDSA-AES256-SHA",
		"false true: connection reset by the server, after ClientHello, ",
		"false true: closed silently by the server, after ClientHello, ",
		"true false: still open when the recording stopped, TLSv1.3 with cipher TLS_AES_128_GCM_SHA256",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSwaksSaysHowTLSWent(t *testing.T) {
	if s := read(t, "testdata/swaks.complete.txt")[0]; !s.Completed || s.Negotiated != "TLSv1.3:TLS_AES_128_GCM_SHA256:128" || s.Transcript != nil {
		t.Errorf("%+v", s)
	}
	if s := read(t, "testdata/swaks.certificate-refused.txt")[0]; s.Completed || !strings.Contains(s.Refused, "certificate verify failed") {
		t.Errorf("%+v", s)
	}
}

func TestTheProgramsOwnRefusalIsRead(t *testing.T) {
	if s := read(t, "testdata/gnutls-3.7.gnutls-cli.certificate-refused.txt")[0]; s.Refused != "Error in the certificate." {
		t.Errorf("%+v", s)
	}
	if s := read(t, "testdata/gnutls-3.7.gnutls-cli.ticket.txt")[0]; s.Refused != "" {
		t.Errorf("gnutls-cli --insecure refused: %q", s.Refused)
	}
	if s := read(t, "testdata/openssl-3.0.s_server-trace.certificate-refused.txt")[0]; s.Refused != "" {
		t.Errorf("the server refused: %q", s.Refused)
	}
	if s := read(t, "testdata/postfix-3.12.smtpd.truncated.txt")[0]; !s.Truncated || s.Completed {
		t.Errorf("truncated: %+v", s)
	}
}

func TestALogThatIsTooLongIsReadInPart(t *testing.T) {
	one := "postfix/smtpd[1]: setting up TLS connection from a\npostfix/smtpd[1]: SSL_accept:SSLv3/TLS read client hello\n"
	for n, want := range map[int]bool{MaxSessions: false, MaxSessions + 1: true} {
		sessions, more, err := Read(strings.NewReader(strings.Repeat(one, n)))
		if err != nil || len(sessions) != MaxSessions || more != want {
			t.Errorf("%d sessions: read %d, more %v, %v", n, len(sessions), more, err)
		}
	}
	if _, more, err := Read(strings.NewReader(one + strings.Repeat("x\n", MaxSize/2))); err != nil || !more {
		t.Errorf("more than %d bytes: more %v, %v", MaxSize, more, err)
	}
}

func TestOtherTextIsNoLog(t *testing.T) {
	for _, text := range []string{"", "Dear postmaster,\n", "Sent Record\nHeader:\n", "=== Trying\n", "|<4>| HSK[0x1]: SERVER HELLO was queued [1 bytes]\n",
		"<<< TLS 1.3, Handshake [length 0004], ServerHello\n"} {
		if s, _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

// FuzzRead reads any text: within bounds, and into transcripts that can be drawn and diagnosed.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("<<< TLS 1.3, Handshake [length ffffffff], ClientHello\n    16\n>>> a, Alert [length 2]\n    02 32\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sessions, _, err := Read(bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if len(sessions) > MaxSessions {
			t.Fatalf("%d sessions", len(sessions))
		}
		for _, s := range sessions {
			if len(s.Err) > maxText+2 || len(s.Refused) > maxText+2 {
				t.Fatal("a long text")
			}
			if s.Transcript == nil {
				continue
			}
			if len(s.Transcript.Messages) > handshake.MaxMessages {
				t.Fatalf("%d messages", len(s.Transcript.Messages))
			}
			s.Transcript.Diagram(handshake.DiagramOptions{})
			interop.Diagnose(s.Transcript)
		}
	})
}
