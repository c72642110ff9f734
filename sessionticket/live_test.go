package sessionticket

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testcert"
)

// pair is a handshaken client and server, with the gate below the server.
type pair struct {
	client, server *tls.Conn
	near           net.Conn
	far            *wire
	keys           *keyLog // of the client
	label          int
}

// shaken returns a pair after its handshake over near and far. The client has read
// the flight and nothing more.
func shaken(t *testing.T, policy Policy, near, far net.Conn, change func(server, client *tls.Config)) *pair {
	t.Helper()
	server, client := configs(testcert.New(t, testcert.Options{}))
	p := &pair{near: near, far: &wire{Conn: far}, keys: new(keyLog)}
	client.KeyLogWriter = p.keys
	if change != nil {
		change(server, client)
	}
	noteLabels(server, func(label int) { p.label = label })
	gate := &Gate{Policy: policy, OnBypass: func(reason error) { t.Error(reason) }}
	p.server = tls.Server(gate.Conn(p.far), gate.Config(server))
	p.client = tls.Client(near, client)
	done := make(chan error, 1)
	go func() { done <- p.server.Handshake() }()
	if err := p.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return p
}

// after lists the writes that followed the flight.
func (p *pair) after() [][]string {
	var lists [][]string
	for _, b := range p.far.from(1) {
		lists = append(lists, records(b))
	}
	return lists
}

func (p *pair) check(t *testing.T, want ...[]string) {
	t.Helper()
	if got := p.after(); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("after the flight left %v, want %v", got, want)
	}
}

// A client that writes much before it reads must not stop a server that reads: over
// a pipe without a buffer the ticket waits for the client, and the Read does not.
func TestOwnWriteDoesNotDelayReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		sent := strings.Repeat("x", 100<<10)
		go func() {
			io.WriteString(p.client, sent)
			p.client.Read(make([]byte, 1)) // and only then takes the ticket
		}()
		if _, err := io.ReadFull(p.server, make([]byte, len(sent))); err != nil {
			t.Fatal(err)
		}
		if _, err := p.server.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.check(t, ticketRecords(p.label), []string{"23:18"})
		p.near.Close()
		p.far.Close()
	})
}

// shakenOverPipe is shaken over a net.Pipe, for tests in which time stands still.
func shakenOverPipe(t *testing.T, policy Policy, change func(server, client *tls.Config)) *pair {
	near, far := net.Pipe()
	return shaken(t, policy, near, far, change)
}

// The ticket of a server that only reads leaves by itself with OwnWrite.
func TestOwnWriteLeavesOnRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		go p.server.Read(make([]byte, 1))
		go p.client.Read(make([]byte, 1))
		synctest.Wait()
		p.check(t, ticketRecords(p.label))
		p.near.Close()
		p.far.Close()
	})
}

// Nobody waits for ever: a client that never reads costs the server its deadline, as
// without the gate, and Close gives up after the five seconds of crypto/tls.
func TestClientThatNeverReads(t *testing.T) {
	for _, policy := range []Policy{FirstWrite, OwnWrite} {
		synctest.Test(t, func(t *testing.T) {
			p := shakenOverPipe(t, policy, nil)
			read := make(chan error, 1)
			p.server.SetReadDeadline(time.Now().Add(time.Minute))
			go func() {
				_, err := p.server.Read(make([]byte, 1))
				read <- err
			}()
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read gave %v", err)
			}
			start := time.Now()
			p.server.SetWriteDeadline(start.Add(time.Second))
			if _, err := p.server.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write gave %v", err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("Write took %v", took)
			}
			p.server.Close()
			p.near.Close()
		})
	}
}

// A write deadline that has passed before the first Read keeps the ticket, and the
// next write sends it.
func TestOldWriteDeadlineDoesNotLoseTheTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		p.server.SetWriteDeadline(time.Now())
		go p.server.Read(make([]byte, 1))
		synctest.Wait()
		p.server.SetWriteDeadline(time.Time{})
		go p.server.Write([]byte("x"))
		got := make([]byte, 1)
		if _, err := p.client.Read(got); err != nil || string(got) != "x" {
			t.Errorf("client read %q, %v", got, err)
		}
		p.near.Close()
		p.far.Close()
	})
}

// The gate's own answer to a KeyUpdate is the first thing that the server writes.
func TestKeyUpdateFollowsTheTicket(t *testing.T) {
	near, far := tcp(t)
	p := shaken(t, FirstWrite, near, far, nil)
	ask := []byte{24, 0, 0, 1, 1, 22} // KeyUpdate, update_requested, and the content type
	near.Write(p.keys.sealer(t, clientTrafficSecret).seal(0, ask))
	near.(*net.TCPConn).CloseWrite()
	p.server.Read(make([]byte, 1))
	p.check(t, append(ticketRecords(p.label), "23:22"))
}

// CloseWrite and Close send close_notify, and with it the ticket.
func TestCloseNotifyFollowsTheTicket(t *testing.T) {
	for name, end := range map[string]func(*tls.Conn) error{"CloseWrite": (*tls.Conn).CloseWrite, "Close": (*tls.Conn).Close} {
		for policy, want := range map[Policy][][]string{
			FirstWrite: {{"23:139", "23:19"}},
			OwnWrite:   {{"23:139"}, {"23:19"}},
		} {
			t.Run(name+"/"+policy.String(), func(t *testing.T) {
				cache := tls.NewLRUClientSessionCache(0)
				near, far := tcp(t)
				p := shaken(t, policy, near, far, func(_, client *tls.Config) { client.ClientSessionCache = cache })
				if err := end(p.server); err != nil {
					t.Fatal(err)
				}
				if got, err := readAll(p.client); got != "" || err != nil {
					t.Errorf("client read %q, %v", got, err)
				}
				if _, ok := cache.Get("localhost"); !ok {
					t.Error("the client has no ticket")
				}
				p.check(t, want...)
			})
		}
	}
}

// A handshake that stops at any point leaves no goroutine and no ticket behind.
func TestAbortedHandshakes(t *testing.T) {
	for _, policy := range []Policy{FirstWrite, OwnWrite} {
		synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
			server, client := configs(testcert.New(t, testcert.Options{}))
			for keep := range 40 {
				near, far := net.Pipe()
				gate := &Gate{Policy: policy}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				done := make(chan error, 1)
				go func() {
					conn := gate.Conn(far)
					err := tls.Server(conn, gate.Config(server)).HandshakeContext(ctx)
					conn.Close()
					done <- err
				}()
				go func() {
					tls.Client(&cut{Conn: near, left: 30 * keep}, client).Handshake()
					if keep%2 == 0 {
						near.Close()
					}
				}()
				go io.Copy(io.Discard, near)
				if <-done == nil {
					t.Errorf("handshake succeeded with %d bytes of the client", 30*keep)
				}
				cancel()
				near.Close()
			}
		})
	}
}

// cut is a client's side that swallows everything after so many bytes.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	part := b[:min(len(b), c.left)]
	c.left -= len(part)
	if n, err := c.Conn.Write(part); err != nil {
		return n, err
	}
	return len(b), nil
}

// One goroutine shakes hands while another writes two bytes as soon as it may: the
// bytes are as long as an alert, and sent before the handshake's context has ended.
func TestShortWriteBesideTheHandshake(t *testing.T) {
	server, client := configs(testcert.New(t, testcert.Options{}))
	for _, policy := range []Policy{FirstWrite, OwnWrite} {
		gate := &Gate{Policy: policy}
		gated := gate.Config(server)
		for range 100 {
			near, far := tcp(t)
			conn := tls.Server(gate.Conn(far), gated)
			var both sync.WaitGroup
			both.Go(func() { conn.Handshake() })
			both.Go(func() { runtime.Gosched(); conn.Write([]byte("ok")) })
			got := make([]byte, 2)
			if _, err := io.ReadFull(tls.Client(near, client), got); err != nil || string(got) != "ok" {
				t.Fatalf("client read %q, %v", got, err)
			}
			both.Wait()
			near.Close()
			far.Close()
		}
	}
}
