package smtpd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"postern/handshake"
	"postern/internal/smtp"
	"postern/internal/testpeer"
	"postern/interop"
	"postern/sessionticket"
)

// A testObserver chooses one mode for all handshakes and keeps the results.
type testObserver struct {
	mode    sessionticket.Mode
	results chan SessionResult
	wanted  bool // transcripts of handshakes that completed

	mu       sync.Mutex
	asked    []string // fingerprints
	refused  []RefusedCommand
	accepted []AcceptedMessage
}

func newTestObserver() *testObserver { return &testObserver{results: make(chan SessionResult, 1000)} }

func (n *testObserver) ChooseMode(_ netip.Addr, ja4 string, _ bool) sessionticket.Mode {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, ja4)
	return n.mode
}

func (n *testObserver) WantsCompleted(netip.Addr, string, string, sessionticket.Mode) bool {
	return n.wanted
}

func (n *testObserver) SessionEnded(r SessionResult) { n.results <- r }

func (n *testObserver) CommandRefused(c RefusedCommand) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = append(n.refused, c)
}

func (n *testObserver) MessageAccepted(m AcceptedMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accepted = append(n.accepted, m)
}

// result waits for the next session to end and returns its result.
func (s *testServer) result() SessionResult { return <-s.observed.results }

const toTLS = "< 220 *\n> EHLO a.example\n< 250 *\n> STARTTLS\n< 220 *\n"

func TestTheResultHasAFailedHandshake(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play(toTLS)
	conn := tls.Client(c.Conn, &tls.Config{ServerName: "mx.example.org"}) // it verifies the certificate
	if err := conn.Handshake(); err == nil {
		t.Fatal("the certificate was accepted")
	}
	r := s.result()
	if r.EHLO != "a.example" || r.TLS != nil || r.JA4 == "" || r.JA4 != s.observed.asked[0] {
		t.Errorf("the result is %+v", r)
	}
	if r.Transcript == nil || r.Transcript.End.Kind != handshake.EndAlert || r.Transcript.End.By != handshake.Client {
		t.Errorf("the transcript is %+v", r.Transcript)
	}
}

// A scanner that asked for TLS and never began it has not failed.
func TestLeavingBeforeTheClientHelloIsNoFailure(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play(toTLS)
	c.Conn.Close()
	if r := s.result(); r.End != "closed before TLS" || r.Err != nil {
		t.Errorf("ended %q, error %v", r.End, r.Err)
	}
	c = s.dial(t)
	c.play(toTLS)
	c.Conn.Write([]byte{22, 3, 1, 0, 200, 1}) // the beginning of one
	c.Conn.Close()
	if r := s.result(); r.End != "TLS handshake failed" || r.Err == nil {
		t.Errorf("ended %q, error %v", r.End, r.Err)
	}
}

// Operators add up the bytes of a network by it.
func TestTheResultCountsTheTextOfAllMessages(t *testing.T) {
	s := startServer(t, nil)
	s.hop.replies = map[string]smtp.Reply{"Send": smtp.NewReply(554, "5.7.1", "no")}
	const begin = "> MAIL FROM:<>\n< 250 *\n> RCPT TO:<a@example.org>\n< 250 *\n"
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n" +
		begin + "> DATA\n< 354 *\n> 8 bytes\n> ..\n> .\n< 554 *\n" + // 9 and 3 bytes
		begin + "> BDAT 3\n" + `> a\r\n\-` + "\n< 250 *\n> RSET\n< 250 *\n" + // refused or given up, it was received
		"> QUIT\n< 221 *")
	if r := s.result(); r.Bytes != 15 || r.Messages != 0 {
		t.Errorf("%d bytes and %d messages, want 15 and none", r.Bytes, r.Messages)
	}
}

// There is nothing to explain then.
func TestTheTranscriptIsDiscardedAtMAIL(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(toTLS + "TLS\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> QUIT\n< 221 *")
	if r := s.result(); r.Transcript != nil || r.TLS == nil || r.JA4 == "" {
		t.Errorf("the result is %+v", r)
	}
}

// The messages of a healthy sender are there if the observer wants them, to compare failed
// handshakes with.
func TestTheTranscriptOfACompletedHandshakeIsKeptOnRequest(t *testing.T) {
	s := startServer(t, nil)
	s.observed.wanted = true
	for _, between := range []string{"", "> NOOP\n< 250 *\n"} {
		config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), MaxVersion: tls.VersionTLS12}
		for _, resumes := range []bool{false, true} {
			c := s.dial(t)
			c.play(toTLS)
			c.handshake(config)
			c.play("> EHLO a\n< 250 *\n" + between + "> MAIL FROM:<>\n< 250 *\n> RSET\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> QUIT\n< 221 *")
			r := s.result()
			if r.Transcript != nil || r.TLS.DidResume != resumes || (r.Completed == nil) != resumes {
				t.Errorf("after %q, resumed %v: the result is %+v", between, resumes, r)
			}
			if !resumes && (!r.Completed.Completed || r.Completed.Use != handshake.UseMail || r.Completed.ClientHello == nil) {
				t.Errorf("after %q the transcript is %+v", between, r.Completed)
			}
		}
	}
}

// The ledger keeps which certificate a sender has seen.
func TestTheResultHasTheCertificateThatWasPresented(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) {
		cert := set.TLS.Certificates[0]
		set.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "elsewhere.example" {
				return nil, errors.New("no certificate for elsewhere.example")
			}
			return &cert, nil
		}}
	})
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "mx.example.org"}
	for _, want := range []*x509.Certificate{s.cert.TLS.Leaf, nil} { // the second resumes
		c := s.dial(t)
		c.play(toTLS)
		c.handshake(config)
		c.play("> EHLO a\n< 250 *\n> NOOP\n< 250 *\n> QUIT\n< 221 *")
		if r := s.result(); r.Certificate != want || r.TLS == nil {
			t.Errorf("resumed %v: the certificate is %v", r.TLS.DidResume, r.Certificate)
		}
	}
	c := s.dial(t)
	c.play(toTLS)
	c.Handshake(&tls.Config{InsecureSkipVerify: true, ServerName: "elsewhere.example"})
	if r := s.result(); r.Certificate != nil || fmt.Sprint(r.Err) != "no certificate for elsewhere.example" {
		t.Errorf("without a certificate: %v, %v", r.Certificate, r.Err)
	}
}

// The ticket is sent with the reply to the first command, so only the second command
// proves that the client accepted it.
func TestOneCommandDoesNotProveThatTheConnectionWorks(t *testing.T) {
	for name, test := range map[string]struct {
		dialogue string
		want     handshake.Outcome
		use      handshake.Use
	}{
		"closes at once":           {"", handshake.Inconclusive, handshake.UseNone},
		"closes after the ticket":  {"> EHLO a\n< 250 *", handshake.ClosedAfterReply, handshake.UseData},
		"goes on after the ticket": {"> EHLO a\n< 250 *\n> NOOP\n< 250 *", handshake.Worked, handshake.UseData},
		"sends QUIT at once":       {"> QUIT\n< 221 *", handshake.Worked, handshake.UseData},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			c := s.dial(t)
			c.play(toTLS)
			raw := c.Conn
			c.handshake(&tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			c.play(test.dialogue)
			raw.Close() // without a close_notify
			r := s.result()
			if r.Transcript == nil {
				t.Fatal("no transcript")
			}
			if got := r.Transcript.Outcome(); got != test.want || r.Transcript.Use != test.use {
				t.Errorf("outcome %v, use %v, want %v, %v\n%s", got, r.Transcript.Use, test.want, test.use, r.Transcript.Diagram(handshake.DiagramOptions{}))
			}
		})
	}
}

func TestEachModeIsServed(t *testing.T) {
	for _, test := range []struct {
		mode    sessionticket.Mode
		newest  uint16 // of the client
		oldest  uint16
		version uint16
		ticket  bool
		served  sessionticket.Mode
	}{
		{sessionticket.Stock, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS13, true, sessionticket.Stock},
		{sessionticket.FirstWrite, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS13, true, sessionticket.FirstWrite},
		{sessionticket.OwnWrite, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS13, true, sessionticket.OwnWrite},
		{sessionticket.NoTicket, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS13, false, sessionticket.NoTicket},
		{sessionticket.TLS12, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS12, false, sessionticket.TLS12},
		{sessionticket.TLS12, tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS13, false, sessionticket.NoTicket},
	} {
		t.Run(test.mode.String(), func(t *testing.T) {
			s := startServer(t, nil)
			s.observed.mode = test.mode
			c := s.dial(t)
			c.play(toTLS)
			c.handshake(&tls.Config{
				InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				MinVersion: test.oldest, MaxVersion: test.newest,
			})
			c.play("> EHLO a\n< 250 *")
			c.Conn.Close()
			r := s.result()
			if r.TLS.Version != test.version || r.Mode != test.served {
				t.Errorf("version %x, mode %v, want %x, %v", r.TLS.Version, r.Mode, test.version, test.served)
			}
			ticket := slices.ContainsFunc(r.Transcript.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
			if ticket != test.ticket {
				t.Errorf("a ticket was sent: %v, want %v", ticket, test.ticket)
			}
			if slices.ContainsFunc(r.Transcript.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeUnknown }) {
				t.Errorf("the server does not know what it sent:\n%s", r.Transcript.Diagram(handshake.DiagramOptions{}))
			}
		})
	}
}

func TestASessionWithoutTLSHasNoTranscript(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO plain.example\n< 250 *\n> QUIT\n< 221 *")
	if r := s.result(); r.Transcript != nil || r.TLS != nil || r.JA4 != "" || r.EHLO != "plain.example" {
		t.Errorf("the result is %+v", r)
	}
}

// Certificate monitors complete the handshake, and say goodbye.
func TestACloseNotifyIsNoFailure(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play(toTLS)
		c.handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		c.Conn.Close()
		r := s.result()
		if r.TLS == nil || r.End != "closed by sender" || r.Err != nil || r.Transcript == nil {
			t.Fatalf("%s: the result is %+v", tls.VersionName(version), r)
		}
		if got, want := r.Transcript.DescribeEnd(), "closed by the client (close_notify)"; got != want || r.Transcript.End.Err != "" {
			t.Errorf("%s: %s, error %q; want %s", tls.VersionName(version), got, r.Transcript.End.Err, want)
		}
		if diagnoses, failed := interop.Diagnose(r.Transcript); failed || diagnoses != nil {
			t.Errorf("%s: failed %v, %+v", tls.VersionName(version), failed, diagnoses)
		}
	}
}

// The session ends at once: a client that has sent its ClientHello sends nothing more, and
// there may be no line end in it.
func TestTLSWithoutSTARTTLSIsNamed(t *testing.T) {
	for name, before := range map[string]string{
		"at once":            "",
		"after the greeting": "< 220 *",
		"after EHLO":         "< 220 *\n> EHLO a\n< 250 *",
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			c := s.dial(t)
			c.play(before)
			if err := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
				t.Fatal("the handshake succeeded")
			}
			c.Conn.Close()
			if r := s.result(); r.End != "TLS without STARTTLS" || r.Err != nil || r.TLS != nil {
				t.Errorf("the result is %+v", r)
			}
		})
	}
}

// Without -ign_eof OpenSSL takes a line that begins with R, as RCPT does, for the order to
// renegotiate.
func TestRenegotiationIsNamed(t *testing.T) {
	s := startServer(t, nil)
	testpeer.SendOpenSSL(t, s.addr, testpeer.OpenSSLOptions{Handshake: testpeer.TLS12Handshake, Args: []string{"-no_ign_eof"}})
	if r := s.result(); r.End != "renegotiation refused" || r.TLS == nil {
		t.Errorf("the result is %+v", r)
	}
}
