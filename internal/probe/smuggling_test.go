package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// A postOffice accepts messages over TLS, and ends them where a test says.
type postOffice struct {
	config   *tls.Config
	ends     []string     // of the text
	refusing string       // a reply to the first message; empty: 250
	wary     bool         // refuses commands that come too soon
	noUser   bool         // no recipient exists
	texts    atomic.Int32 // that were begun
}

func (o *postOffice) start(t *testing.T) (addr string) {
	t.Helper()
	o.config = &tls.Config{Certificates: []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go o.serve(conn)
		}
	}()
	return listener.Addr().String()
}

func (o *postOffice) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	in := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mx.test\r\n")
	for {
		line, err := in.ReadString('\n')
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case err != nil:
			return
		case verb == "STARTTLS":
			fmt.Fprint(conn, "220 go\r\n")
			conn = tls.Server(conn, o.config)
			in = bufio.NewReader(conn)
		case o.wary && verb == "MAIL" && in.Buffered() > 0:
			fmt.Fprint(conn, "503 5.5.0 improper use of pipelining\r\n")
			return
		case verb == "RCPT" && o.noUser:
			fmt.Fprint(conn, "550 5.1.1 no such user\r\n")
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			if fmt.Fprint(conn, o.text(in)); o.refusing != "" {
				return
			}
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		case slices.Contains([]string{"EHLO", "MAIL", "RCPT"}, verb):
			fmt.Fprint(conn, "250 STARTTLS\r\n")
		default:
			fmt.Fprint(conn, "500 what\r\n")
		}
	}
}

// text reads one and replies.
func (o *postOffice) text(in io.ByteReader) string {
	o.texts.Add(1)
	var text []byte
	for {
		b, err := in.ReadByte()
		if err != nil {
			return ""
		}
		text = append(text, b)
		ends := func(end string) bool { return strings.HasSuffix(string(text), end) }
		if slices.ContainsFunc(append(o.ends, "\r\n.\r\n"), ends) {
			break
		}
	}
	if o.refusing != "" {
		return o.refusing + "\r\n"
	}
	return "250 accepted\r\n"
}

func TestSmugglingIsFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		office   *postOffice
		severity Severity
		evidence string
	}{
		"strict":            {&postOffice{}, OK, "10 false ends"},
		"refuses":           {&postOffice{refusing: "550 5.6.0 LF without CR"}, OK, "10 false ends"},
		"LF . LF":           {&postOffice{ends: []string{"\n.\n"}}, Critical, `behind "\n.\n" a second`},
		"CR LF . CR":        {&postOffice{ends: []string{"\r\n.\r"}}, Critical, `behind "\r\n.\r" a second`},
		"LF, no pipelining": {&postOffice{ends: []string{"\n.\n"}, wary: true}, Warning, `at "\n.\n" the message ended`},
		"unknown recipient": {&postOffice{noUser: true}, Unclear, "550 5.1.1 no such user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			healthy, _ := persona.Find(healthyID)
			e := &addressProbe{ctx: context.Background(), healthy: healthy, target: persona.Target{Addr: tt.office.start(t)}}
			e.smuggle(persona.TestMessage{From: "a@example.test", To: "b@example.test"})
			found := checkSmuggling(e)
			if len(found) != 1 || found[0].Severity != tt.severity || !strings.Contains(strings.Join(found[0].Evidence, "\n"), tt.evidence) {
				t.Errorf("%+v, want %v with %q", found, tt.severity, tt.evidence)
			}
			if tt.severity > OK && len(found[0].Advice) == 0 {
				t.Error("no advice")
			}
		})
	}
}

// No message is sent without Deliver, and smuggling needs Intrusive too.
func TestMailIsSentOnRequestOnly(t *testing.T) {
	t.Parallel()
	letter := &persona.TestMessage{From: "a@example.test", To: "b@example.test"}
	one, _ := persona.Find(healthyID)
	for _, tt := range []struct {
		prober Prober
		texts  int32
		found  string
	}{
		{Prober{}, 0, ""},
		{Prober{Intrusive: true}, 0, ""},
		{Prober{Deliver: letter}, 1, "delivered"},
		{Prober{Deliver: letter, Intrusive: true}, 11, "message-smuggling"},
	} {
		office := new(postOffice)
		tt.prober.Personas = []*persona.Persona{one}
		r, err := tt.prober.Probe(context.Background(), office.start(t))
		if err != nil {
			t.Fatal(err)
		}
		if texts := office.texts.Load(); texts != tt.texts {
			t.Errorf("%d messages, want %d", texts, tt.texts)
		}
		if tt.found != "" && !slices.ContainsFunc(r.AllFindings(), func(f Finding) bool { return f.ID == tt.found && f.Severity == OK }) {
			t.Errorf("no finding %s of severity ok in %+v", tt.found, r.AllFindings())
		}
	}
}
