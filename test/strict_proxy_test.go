package test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postern/internal/smtp"
	"postern/internal/tlsrecord"
	"postern/sessionticket/strictclient"
)

// A strictProxy makes every SMTP client that goes through it a strict one: it
// closes both connections, silently, when the server's flight goes on after its
// Finished and the client has not yet sent its own.
type strictProxy struct {
	addr    string // where it listens
	server  string
	active  sync.WaitGroup
	refused atomic.Int32 // handshakes that it has cut off
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

// serve passes one connection on. An end before the handshake's is the other
// side's affair: it is passed on too.
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

// passSMTP passes on what is said up to the reply to STARTTLS: replies and
// commands in turn, as RFC 3207 has it.
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

// passHandshake passes on a TLS 1.3 handshake that needs no second ClientHello:
// the ClientHello, the server's flight up to its Finished, and the client's.
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

// passOnce passes on what one Read gives.
func passOnce(to io.Writer, from io.Reader) (length int, err error) {
	chunk := make([]byte, tlsrecord.HeaderLen+tlsrecord.MaxCiphertext)
	if length, err = from.Read(chunk); err != nil {
		return length, err
	}
	return to.Write(chunk[:length])
}

// isFinished tells the record of a Finished by its length: of the header, the message
// with the hash's 32 or 48 bytes, the true type and the tag (RFC 8446, Sections 4.4.4 and
// 5.2). Nothing else in the flight of crypto/tls is as long.
func isFinished(record int) bool {
	const around = tlsrecord.HeaderLen + 4 + 1 + 16
	return record == around+32 || record == around+48
}
