package sessionticket

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testcert"
)

// The gate's own answer to a KeyUpdate is the first thing that the server writes.
func TestKeyUpdateFollowsTheTicket(t *testing.T) {
	for mode, want := range map[Mode][][]string{
		OwnWrite:   {{"23:139"}, {"23:22"}},
		FirstWrite: {{"23:139", "23:22"}},
	} {
		near, far := tcp(t)
		p := shaken(t, mode, near, far, nil)
		ask := []byte{24, 0, 0, 1, 1, 22} // KeyUpdate, update_requested, and the content type
		near.Write(p.keys.sealer(t, clientTrafficSecret).seal(0, ask))
		near.(*net.TCPConn).CloseWrite()
		p.server.Read(make([]byte, 1))
		p.check(t, want...)
	}
}

// CloseWrite and Close send close_notify, and with it the ticket.
func TestCloseNotifyFollowsTheTicket(t *testing.T) {
	for name, end := range map[string]func(*tls.Conn) error{"CloseWrite": (*tls.Conn).CloseWrite, "Close": (*tls.Conn).Close} {
		for mode, want := range map[Mode][][]string{
			FirstWrite: {{"23:139", "23:19"}},
			OwnWrite:   {{"23:139"}, {"23:19"}},
		} {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				cache := tls.NewLRUClientSessionCache(0)
				near, far := tcp(t)
				p := shaken(t, mode, near, far, func(_, client *tls.Config) { client.ClientSessionCache = cache })
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
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
			server, client := configs(testcert.New(t, testcert.Options{}))
			for keep := range 40 {
				near, far := net.Pipe()
				gate := &Gate{Mode: mode}
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
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		gate := &Gate{Mode: mode}
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
