package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postern/internal/smtp"
)

// A server that replies 250 before the end of the text, and is gone then, has no message:
// the sender must not take it for delivered. A refusal is passed on.
func TestReplyBeforeTheEndOfTheTextDoesNotCount(t *testing.T) {
	for early, want := range map[string]int{"250 done": 451, "552 5.3.4 too big": 552, "421 4.3.2 going down": 421} {
		t.Run(early, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			replied := make(chan struct{})
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					go replyEarly(conn, early, replied)
				}
			}()
			config := mustParse(t, "smtp://127.0.0.1:25?starttls=off")
			config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
			}
			s := New(config, "front.test", nil).Open(someSender)
			defer s.Close()
			if got := deliverTo(s, someMail, someRcpt); got != "MAIL 250, RCPT 250" {
				t.Fatal(got)
			}
			if reply := s.Data()(); reply.Code != 354 {
				t.Fatal(reply)
			}
			start := strings.NewReader("Subject: x\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2*smtp.DotBufferSize/72))
			if reply := s.Send(io.MultiReader(start, afterwards{replied}, strings.NewReader("end\r\n"))); reply.Code != want {
				t.Errorf("the sender gets %v, want %d", reply, want)
			}
			s.Reset()
			if got := deliverTo(s, someMail, someRcpt); got != "MAIL 250, RCPT 250" { // on another connection
				t.Error("then", got)
			}
		})
	}
}

// replyEarly is a server that replies to a text before its end, once.
func replyEarly(conn net.Conn, early string, replied chan<- struct{}) {
	defer conn.Close()
	fmt.Fprint(conn, "220 early.test\r\n")
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return
		case line != "DATA\r\n":
			fmt.Fprint(conn, "250 ok\r\n")
		default:
			fmt.Fprint(conn, "354 go on\r\n")
			in.ReadString('\n')
			fmt.Fprint(conn, early+"\r\n")
			close(replied)
			io.Copy(io.Discard, in)
			return
		}
	}
}

// afterwards ends when a channel is closed.
type afterwards struct{ c chan struct{} }

func (a afterwards) Read([]byte) (int, error) {
	select {
	case <-a.c:
	case <-time.After(time.Minute):
	}
	return 0, io.EOF
}
