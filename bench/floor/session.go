package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
)

// bufferSize is enough for a message of bench/load with its envelope.
const bufferSize = 8 << 10

// A session is one connection of the load generator. It sends replies when it has executed
// everything that has arrived.
type session struct {
	conn  net.Conn // TCP, or TLS over it
	in    *bufio.Reader
	out   []byte // replies not sent yet
	hello string // the reply to EHLO

	envelope []byte // commands of the current message
	next     next
}

// A next is where messages go.
type next interface {
	// begin passes MAIL, RCPT and DATA on, and returns the replies.
	begin(envelope []byte) (replies []byte, err error)
	// text passes a part of the text on, and after its final dot returns the reply.
	text(part []byte, last bool) (reply []byte, err error)
	// end ends the connection.
	end() error
}

const (
	greeting = "220 floor.test ESMTP\r\n"
	offer    = "250-floor.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
	offerTLS = "250-floor.test\r\n250 PIPELINING\r\n"
	ready    = "220 2.0.0 ready\r\n"
	bye      = "221 2.0.0 bye\r\n"
)

// run speaks SMTP until QUIT.
func (s *session) run(config *tls.Config) error {
	s.in = bufio.NewReaderSize(s.conn, bufferSize)
	s.out = append(s.out, greeting...)
	s.hello = offer
	for {
		if err := s.flush(); err != nil {
			return err
		}
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("EHLO ")):
			s.out = append(s.out, s.hello...)
		case bytes.HasPrefix(line, []byte("STARTTLS")):
			err = s.startTLS(config)
		case bytes.HasPrefix(line, []byte("MAIL ")), bytes.HasPrefix(line, []byte("RCPT ")):
			s.envelope = append(s.envelope, line...)
		case bytes.HasPrefix(line, []byte("DATA")):
			err = s.message(line)
		case bytes.HasPrefix(line, []byte("QUIT")):
			return s.quit()
		default:
			err = fmt.Errorf("unexpected command %q", line)
		}
		if err != nil {
			return err
		}
	}
}

// flush sends the replies, unless more commands have arrived.
func (s *session) flush() error {
	if s.in.Buffered() > 0 || len(s.out) == 0 {
		return nil
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

func (s *session) startTLS(config *tls.Config) error {
	s.out = append(s.out, ready...)
	if err := s.flush(); err != nil {
		return err
	}
	secure := tls.Server(s.conn, config)
	s.conn, s.hello = secure, offerTLS
	s.in.Reset(secure)
	return secure.Handshake()
}

// message receives a message, from its DATA on.
func (s *session) message(data []byte) error {
	replies, err := s.next.begin(append(s.envelope, data...))
	if err != nil {
		return err
	}
	s.envelope = s.envelope[:0]
	s.out = append(s.out, replies...)
	if err := s.flush(); err != nil {
		return err
	}
	reply, err := s.text()
	s.out = append(s.out, reply...)
	return err
}

var finalDot = []byte("\r\n.\r\n")

// text passes the text on as it arrives.
func (s *session) text() (reply []byte, err error) {
	for {
		if _, err := s.in.Peek(len(finalDot)); err != nil {
			return nil, err
		}
		part, err := s.in.Peek(s.in.Buffered())
		if err != nil {
			return nil, err
		}
		end := bytes.Index(part, finalDot)
		if end >= 0 {
			part = part[:end+len(finalDot)]
		} else {
			part = part[:len(part)-len(finalDot)+1] // the rest may be a part of it
		}
		if reply, err = s.next.text(part, end >= 0); err != nil {
			return nil, err
		}
		if _, err := s.in.Discard(len(part)); err != nil || end >= 0 {
			return reply, err
		}
	}
}

func (s *session) quit() error {
	if err := s.next.end(); err != nil {
		return err
	}
	s.out = append(s.out, bye...)
	return s.flush()
}
