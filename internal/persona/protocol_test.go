package persona_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// A tongue is how a server of mailboxes answers, a command's words to its reply.
type tongue struct {
	greeting string
	replies  map[string]string
	start    string
}

var imap = tongue{
	greeting: "* OK [CAPABILITY IMAP4rev2 STARTTLS] hello\r\n",
	replies: map[string]string{
		"p1 CAPABILITY": "* CAPABILITY IMAP4rev2 STARTTLS\r\np1 OK done\r\n",
		"p2 STARTTLS":   "p2 OK go ahead\r\n",
		"p0 NOOP":       "p0 OK done\r\n",
		"p3 LOGOUT":     "* BYE\r\np3 OK done\r\n",
	},
	start: "p2 STARTTLS",
}

var pop3 = tongue{
	greeting: "+OK hello\r\n",
	replies: map[string]string{
		"CAPA": "+OK capabilities\r\nSTLS\r\nUSER\r\n.\r\n",
		"STLS": "+OK go ahead\r\n",
		"QUIT": "+OK bye\r\n",
	},
	start: "STLS",
}

// server answers in a tongue; trusting, it executes what came in clear behind start.
func (m tongue) server(config *tls.Config, trusting bool) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		io.WriteString(conn, m.greeting)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			command := strings.TrimSpace(line)
			io.WriteString(conn, m.replies[command])
			if command == m.start {
				conn, in = secured(conn, in, config, trusting)
			}
		}
	}
}

func TestMailboxServers(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}}
	for protocol, m := range map[persona.Protocol]tongue{persona.IMAP: imap, persona.POP3: pop3} {
		at := target(listen(t, m.server(config, false)))
		at.Protocol = protocol
		at.Deliver = &persona.Letter{To: "user@localhost"} // which is not theirs to take
		for _, p := range persona.All() {
			// On a server of crypto/tls below no gate.
			if p.Case != "certificate-refused" {
				checkVisit(t, p.ID, p.Visit(t.Context(), at), matrix[p.ID].stock)
			}
		}
		at.Addr = listen(t, m.server(config, true))
		if v := find(t, "plaintext-after-starttls").Visit(t.Context(), at); !v.In || !v.Executed {
			t.Errorf("%v: in %v, executed %v: %v", m.start, v.In, v.Executed, v.Err)
		}
	}
}

func TestMailboxServersThatBeginWithTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}}
	for protocol, m := range map[persona.Protocol]tongue{persona.ImplicitIMAP: imap, persona.ImplicitPOP3: pop3} {
		talk := m.server(nil, false)
		at := target(listen(t, func(conn net.Conn) { talk(tls.Server(conn, config)) }))
		at.Protocol = protocol
		at.Deliver = &persona.Letter{To: "user@localhost"} // which is not theirs to take
		for _, id := range []string{"healthy-go", "early-ticket", "tls12-only", "plaintext-after-starttls"} {
			v := find(t, id).Visit(t.Context(), at)
			if in := id != "early-ticket"; v.In != in || v.Executed || v.Delivered || v.Greeting == nil && in {
				t.Errorf("%s: %+v", id, v)
			}
		}
	}
}

func TestMailboxServerWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		protocol persona.Protocol
		replies  []string
		want     string
	}{
		{persona.IMAP, []string{"* OK hi\r\n", "* CAPABILITY IMAP4rev2\r\np1 OK\r\n"}, "does not offer TLS"},
		{persona.IMAP, []string{"* BYE full\r\n"}, `greeted with "* BYE full"`},
		{persona.IMAP, []string{"* OK hi\r\n", "* CAPABILITY STARTTLS\r\np1 OK\r\n", "p2 NO\r\n"}, `answered STARTTLS with "p2 NO"`},
		{persona.POP3, []string{"+OK hi\r\n", "+OK\r\nUSER\r\n.\r\n"}, "does not offer TLS"},
		{persona.POP3, []string{"+OK hi\r\n", "-ERR what?\r\n"}, `answered CAPA with "-ERR what?"`},
	} {
		at := scripted(tt.replies...)
		at.Protocol = tt.protocol
		v := find(t, "healthy-go").Visit(t.Context(), at)
		if v.In || v.Err == nil || !strings.Contains(v.Err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.replies, v.Err, tt.want)
		}
	}
}
