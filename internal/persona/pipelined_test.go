package persona_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

func TestPipelinedCommand(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*server)
		in       bool
		executed bool
	}{
		{"discarded", func(*server) {}, true, false},
		{"refused", func(s *server) { s.refuses = true }, false, false},
		{"executed over TLS", func(s *server) { s.trusts = true }, true, true},
		{"answered in clear", func(s *server) { s.eager = true }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			tt.change(s)
			v := find(t, "plaintext-after-starttls").Visit(t.Context(), target(s.start(t)))
			if v.In != tt.in || v.Executed != tt.executed {
				t.Errorf("in %v, executed %v, want %v, %v: %v", v.In, v.Executed, tt.in, tt.executed, v.Err)
			}
			if executed := strings.Contains(s.heard(), "NOOP"); tt.name == "executed over TLS" && !executed || tt.in && executed != tt.executed {
				t.Errorf("the server heard %s", s.heard())
			}
		})
	}
}

// The answer may come only when the client has begun its handshake.
func TestPipelinedCommandIsAnsweredLate(t *testing.T) {
	for answer, executed := range map[string]bool{"250 2.0.0 done\r\n": true, "502 5.5.1 what?\r\n": false} {
		at := target(listen(t, func(conn net.Conn) {
			in := bufio.NewReader(conn)
			for _, reply := range []string{"220 hi\r\n", "250 STARTTLS\r\n", "220 go ahead\r\n", ""} {
				io.WriteString(conn, reply)
				in.ReadString('\n')
			}
			in.ReadByte() // of the ClientHello
			io.WriteString(conn, answer)
			io.Copy(io.Discard, in)
		}))
		if v := find(t, "plaintext-after-starttls").Visit(t.Context(), at); v.In || v.Executed != executed {
			t.Errorf("%q: in %v, executed %v, want %v: %v", answer, v.In, v.Executed, executed, v.Err)
		}
	}
}
