package interop_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/sessionticket"
)

// A receiver is the mail server of the recordings: SMTP with STARTTLS on crypto/tls, with
// the gate below it and the recorder below that, as in Postern.
type receiver struct {
	mode   sessionticket.Mode
	config *tls.Config
	pair   *testcert.Pair // the certificate, for localhost

	// handshakeTime limits a handshake.
	handshakeTime time.Duration

	fromStart bool          // the recording begins with the connection, not after STARTTLS
	left      chan struct{} // closed by scenarios whose client leaves while the server works

	ticketKey [32]byte
	mu        sync.Mutex
	kept      map[int]*handshake.Transcript // by the order of connections
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	r := &receiver{
		pair:          pair,
		config:        &tls.Config{Certificates: []tls.Certificate{pair.TLS}},
		handshakeTime: time.Minute,
		left:          make(chan struct{}),
		kept:          make(map[int]*handshake.Transcript),
	}
	rand.Read(r.ticketKey[:])
	return r
}

// during serves while play runs, and returns the transcripts in the order of connections
// when all have ended.
func (r *receiver) during(t *testing.T, play func(addr string)) []*handshake.Transcript {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { r.serve(conn, n) })
		}
	})
	play(listener.Addr().String())
	listener.Close()
	open.Wait()
	var all []*handshake.Transcript
	for _, n := range slices.Sorted(maps.Keys(r.kept)) {
		all = append(all, r.kept[n])
	}
	return all
}

func (r *receiver) serve(conn net.Conn, n int) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	recorder := handshake.NewConn(conn, handshake.AtServer)
	gate := &sessionticket.Gate{Mode: r.mode}
	gated := gate.Conn(recorder)
	clear := dialogue{in: bufio.NewReader(gated), out: gated}
	use := handshake.UseNone
	if r.fromStart {
		recorder.Begin()
	}
	if clear.greet() {
		recorder.Begin()
		use = r.secure(tls.Server(gated, gate.Config(r.noting(recorder))), recorder)
	} else if !r.fromStart {
		return
	}
	gated.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[n] = recorder.Stop(use)
}

// noting returns the server's config for one connection, which announces tickets to the
// recorder.
func (r *receiver) noting(recorder *handshake.Conn) *tls.Config {
	config := r.config.Clone()
	if !config.SessionTicketsDisabled {
		config.SetSessionTicketKeys([][32]byte{r.ticketKey})
	}
	wrap := config.WrapSession
	if wrap == nil {
		wrap = config.EncryptTicket
	}
	config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		label, err := wrap(cs, ss)
		recorder.ExpectTicket(len(label))
		return label, err
	}
	return config
}

// secure runs the handshake and SMTP over it.
func (r *receiver) secure(conn *tls.Conn, recorder *handshake.Conn) handshake.Use {
	conn.SetDeadline(time.Now().Add(r.handshakeTime))
	if err := conn.Handshake(); err != nil {
		recorder.Fail(err)
		return handshake.UseNone
	}
	recorder.Complete()
	conn.SetDeadline(time.Now().Add(time.Minute))
	d := dialogue{in: bufio.NewReader(conn), out: conn}
	d.talk()
	return d.use
}

// A dialogue is the server's side of SMTP, as far as the clients need it.
type dialogue struct {
	in  *bufio.Reader
	out net.Conn
	use handshake.Use
}

// greet speaks plaintext SMTP until it has answered STARTTLS.
func (d *dialogue) greet() bool {
	d.reply("220 localhost ESMTP")
	for {
		switch verb, ok := d.command(); {
		case !ok || verb == "QUIT":
			return false
		case verb == "STARTTLS":
			d.reply("220 go ahead")
			return true
		case verb == "EHLO":
			d.reply("250-localhost\r\n250 STARTTLS")
		default:
			d.reply("530 STARTTLS first")
		}
	}
}

// talk accepts mail until QUIT or the end of the connection.
func (d *dialogue) talk() {
	for {
		verb, ok := d.command()
		if !ok {
			return
		}
		d.use = max(d.use, handshake.UseData)
		switch verb {
		case "QUIT":
			d.reply("221 bye")
			return
		case "MAIL":
			d.use = handshake.UseMail
			d.reply("250 ok")
		case "DATA":
			d.reply("354 go on")
			d.text()
			d.reply("250 taken")
		default:
			d.reply("250 ok")
		}
	}
}

func (d *dialogue) command() (verb string, ok bool) {
	line, err := d.in.ReadString('\n')
	verb, _, _ = strings.Cut(strings.TrimSpace(line), " ")
	return strings.ToUpper(verb), err == nil
}

func (d *dialogue) text() {
	for {
		line, err := d.in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return
		}
	}
}

func (d *dialogue) reply(line string) { d.out.Write([]byte(line + "\r\n")) } // an error shows at the next read
