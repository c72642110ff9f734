package smtpd

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/sessionticket"
)

// A notebook is a Watch that offers everyone the same and keeps what it is told.
type notebook struct {
	mode sessionticket.Mode

	mu     sync.Mutex
	asked  []fallback.Sender
	visits []Visit
}

func (n *notebook) Offer(s fallback.Sender) sessionticket.Mode {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, s)
	return n.mode
}

func (n *notebook) Ended(v Visit) []slog.Attr {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.visits = append(n.visits, v)
	return []slog.Attr{slog.String("watched", v.Session)}
}

// visit waits for the session's end and returns what the notebook was told.
func (s *testServer) visit(t *testing.T) Visit {
	t.Helper()
	line := s.sessionLine(t)
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	v := s.book.visits[len(s.book.visits)-1]
	if !strings.Contains(line, "watched="+v.Session) {
		t.Errorf("the session's line does not hold what the watch adds: %s", line)
	}
	return v
}

const toTLS = "< 220 *\n> EHLO a.example\n< 250 *\n> STARTTLS\n< 220 *\n"

func TestTheWatchIsToldOfAFailedHandshake(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play(toTLS)
	conn := tls.Client(c.Conn, &tls.Config{ServerName: "mx.example.org"}) // it verifies the certificate
	if err := conn.Handshake(); err == nil {
		t.Fatal("the certificate was accepted")
	}
	v := s.visit(t)
	if v.EHLO != "a.example" || v.TLS != nil || v.JA4 == "" || v.JA4 != s.book.asked[0].Fingerprint {
		t.Errorf("told %+v", v)
	}
	if v.Handshake == nil || v.Handshake.End.Kind != handshake.EndAlert || v.Handshake.End.By != handshake.Client {
		t.Errorf("the transcript ends otherwise: %+v", v.Handshake)
	}
}

// There is nothing to explain then, and the memory is let go.
func TestTheTranscriptOfASenderThatComesToMailIsForgotten(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(toTLS + "TLS\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> QUIT\n< 221 *")
	if v := s.visit(t); v.Handshake != nil || v.TLS == nil || v.JA4 == "" {
		t.Errorf("told %+v", v)
	}
}

// The ticket leaves with the reply to the first command, so only the second shows
// that the client has survived it.
func TestOneCommandDoesNotShowThatTheConnectionIsOfUse(t *testing.T) {
	for name, test := range map[string]struct {
		dialogue string
		want     handshake.Outcome
		use      handshake.Use
	}{
		"closes after the ticket":  {"> EHLO a\n< 250 *", handshake.ClosedAfterTicket, handshake.UseData},
		"goes on after the ticket": {"> EHLO a\n< 250 *\n> NOOP\n< 250 *", handshake.Worked, handshake.UseData},
		"says QUIT at once":        {"> QUIT\n< 221 *", handshake.Worked, handshake.UseData},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			c := s.dial(t)
			c.play(toTLS)
			raw := c.Conn
			c.handshake(&tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			c.play(test.dialogue)
			raw.Close() // without a close_notify
			v := s.visit(t)
			if v.Handshake == nil {
				t.Fatal("no transcript")
			}
			if got := v.Handshake.Outcome(); got != test.want || v.Handshake.Use != test.use {
				t.Errorf("outcome %v, use %v, want %v, %v\n%s", got, v.Handshake.Use, test.want, test.use, v.Handshake.Diagram(handshake.DiagramOptions{}))
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
		told    sessionticket.Mode
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
			s.book.mode = test.mode
			c := s.dial(t)
			c.play(toTLS)
			c.handshake(&tls.Config{
				InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				MinVersion: test.oldest, MaxVersion: test.newest,
			})
			c.play("> EHLO a\n< 250 *")
			c.Conn.Close()
			v := s.visit(t)
			if v.TLS.Version != test.version || v.Mode != test.told {
				t.Errorf("version %x, mode %v, want %x, %v", v.TLS.Version, v.Mode, test.version, test.told)
			}
			ticket := slices.ContainsFunc(v.Handshake.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
			if ticket != test.ticket {
				t.Errorf("a ticket left: %v, want %v", ticket, test.ticket)
			}
		})
	}
}

func TestASessionWithoutTLSHasNoTranscript(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO plain.example\n< 250 *\n> QUIT\n< 221 *")
	if v := s.visit(t); v.Handshake != nil || v.TLS != nil || v.JA4 != "" || v.EHLO != "plain.example" {
		t.Errorf("told %+v", v)
	}
}
