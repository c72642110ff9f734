package test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netsmtp "net/smtp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/smtp"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
	"postern/internal/tlsrecord"
	"postern/sessionticket/strictclient"
)

// The client of https://go.dev/issue/70232, which closes when the ticket comes before its
// Finished, delivers in each mode of the gate, and resumes if there are tickets. For mode
// stock see fallback_test.go.
func TestStrictClientDeliversBehindTheGate(t *testing.T) {
	for _, tt := range []struct {
		mode    string
		resumes bool
	}{
		{"first-write", true},
		{"own-write", true},
		{"no-ticket", false},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			p := start(t, "--mode", tt.mode)
			config := testsmtp.OpportunisticTLS()
			for session := range 2 {
				resumed, err := deliverStrictly(p.addr, config)
				if err != nil {
					t.Errorf("session %d: %v", session, err)
				} else if resumed != (tt.resumes && session == 1) {
					t.Errorf("session %d resumed: %v", session, resumed)
				}
			}
			p.awaitSessions(2)
			if got := len(p.maildir().messages(t)); got != 2 {
				t.Errorf("%d messages stored, want 2", got)
			}
		})
	}
}

// deliverStrictly delivers one message as a strict client and reports whether its TLS
// session was resumed.
func deliverStrictly(addr string, config *tls.Config) (resumed bool, err error) {
	return deliverStrictlyAs("strict.test", "", addr, config)
}

// deliverStrictlyAs delivers as [deliverStrictly] does, with a name in EHLO and from an address, or
// from any if that is empty.
func deliverStrictlyAs(name, from, addr string, config *tls.Config) (resumed bool, err error) {
	c, err := testsmtp.Connect(addr, from)
	if err != nil {
		return false, err
	}
	c.Conn.SetDeadline(time.Now().Add(patience))
	client, err := strictclient.StartTLS(c.Conn, name, config)
	if err != nil {
		return false, err
	}
	defer client.Close()
	state, _ := client.TLSConnectionState()
	return state.DidResume, sendMessage(client)
}

// meetEarlyTicket makes a strict sender fail in mode stock, and returns the line of the log that says
// so. Only then has the server noticed: a sender comes back after minutes, a test at once.
func (p *postern) meetEarlyTicket(config *tls.Config) string {
	p.t.Helper()
	return p.meetEarlyTicketFrom("", config)
}

// meetEarlyTicketFrom does as [postern.meetEarlyTicket] does, from an address, or from any if that is empty.
func (p *postern) meetEarlyTicketFrom(from string, config *tls.Config) string {
	p.t.Helper()
	before := p.log.length()
	if _, err := deliverStrictlyAs("strict.test", from, p.addr, config); !errors.Is(err, strictclient.ErrEarlyTicket) {
		p.t.Fatalf("in mode stock: %v, want the client to close because of the early ticket", err)
	}
	return p.await(before, "msg=session", "case=early-ticket", "ehlo=strict.test", "sender="+from)
}

func sendMessage(client *netsmtp.Client) error {
	m := newMessage("strict", 0)
	if err := client.Mail(m.From); err != nil {
		return err
	}
	if err := client.Rcpt(m.To[0]); err != nil {
		return err
	}
	text, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(text, m.Text); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	return client.Quit()
}

// The queue of a Postfix that closes on an early ticket drains without intervention, even
// if Postern starts in mode stock.
func TestQueueOfStrictPostfixDrains(t *testing.T) {
	p := start(t, "--mode", "stock")
	proxy := startStrictProxy(t, p.addr)
	const messages = 5
	run := testpeer.SendPostfix(t, proxy.addr, testpeer.QueueOptions{
		Messages: messages,
		Config:   []string{"default_destination_concurrency_limit = 1"}, // otherwise all would fail at once
	})
	if run.Sent != messages || run.Bounced != 0 || run.Deferred == 0 || run.Resumed == 0 {
		t.Errorf("of %d messages %d were sent, %d bounced, %d deferred; %d sessions resumed\n%s",
			messages, run.Sent, run.Bounced, run.Deferred, run.Resumed, run.Log)
	}
	if got := len(p.maildir().messages(t)); got != messages {
		t.Errorf("%d messages stored, want %d", got, messages)
	}
	eventually(t, func() error {
		out, _ := runPostern(t, "handshakes", "--failed", "--case", "early-ticket", "--sender", "sender.test", "--data", p.data)
		if got, want := strings.Count(out, "early-ticket, mode stock"), int(proxy.refused.Load()); got != want || got == 0 {
			return fmt.Errorf("%d failures are listed, want %d:\n%s", got, want, out)
		}
		return nil
	})
}

// A strictProxy makes every SMTP client behind it a strict one: it silently closes both
// connections if the server's flight continues after its Finished and the client has not
// sent its own yet.
type strictProxy struct {
	addr    string // of its listener
	server  string
	active  sync.WaitGroup
	refused atomic.Int32 // handshakes that it has aborted
}

func startStrictProxy(t *testing.T, server string) *strictProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &strictProxy{addr: listener.Addr().String(), server: server}
	p.active.Go(func() {
		for {
			sender, err := listener.Accept()
			if err != nil {
				return
			}
			p.active.Go(func() { p.serve(sender) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.active.Wait()
	})
	return p
}

// serve forwards one connection. If one side closes, so does the other.
func (p *strictProxy) serve(sender net.Conn) {
	defer sender.Close()
	conn, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer conn.Close()
	strict := strictclient.New(conn)
	if passSMTP(sender, strict) != nil {
		return
	}
	if err := passHandshake(sender, strict); err != nil {
		if errors.Is(err, strictclient.ErrEarlyTicket) {
			p.refused.Add(1)
		}
		return
	}
	p.active.Go(func() {
		io.Copy(sender, strict)
		sender.Close()
	})
	io.Copy(strict, sender)
}

// passSMTP forwards replies and commands in turn, up to the reply to STARTTLS.
func passSMTP(sender, server net.Conn) error {
	commands, replies := bufio.NewReader(sender), bufio.NewReader(server)
	for command := ""; ; {
		reply, err := smtp.ReadReply(replies)
		if err != nil {
			return err
		}
		if _, err := sender.Write(reply.Append(nil)); err != nil || strings.HasPrefix(command, "STARTTLS") && reply.Positive() {
			return err
		}
		if command, err = commands.ReadString('\n'); err != nil {
			return err
		}
		if _, err := io.WriteString(server, command); err != nil {
			return err
		}
	}
}

// passHandshake forwards a TLS 1.3 handshake without a second ClientHello: the
// ClientHello, the server's flight up to its Finished, and the client's.
func passHandshake(sender, server net.Conn) error {
	_, err := passOnce(server, sender)
	for length := 0; err == nil && !isFinished(length); {
		length, err = passOnce(sender, server) // one record: see strictclient.Conn
	}
	if err == nil {
		_, err = passOnce(server, sender)
	}
	return err
}

// passOnce forwards the bytes of one Read.
func passOnce(to io.Writer, from io.Reader) (length int, err error) {
	chunk := make([]byte, tlsrecord.HeaderLen+tlsrecord.MaxCiphertext)
	if length, err = from.Read(chunk); err != nil {
		return length, err
	}
	return to.Write(chunk[:length])
}

// isFinished recognises the record of a Finished by its length: the header, the message
// with the hash's 32 or 48 bytes, the true type and the tag (RFC 8446, Sections 4.4.4 and
// 5.2). Nothing else in the flight of crypto/tls is as long.
func isFinished(record int) bool {
	const around = tlsrecord.HeaderLen + 4 + 1 + 16
	return record == around+32 || record == around+48
}
