package sessionticket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"

	"postern/internal/testcert"
)

// wrapper is a user's conn between TLS and the gate's.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

// loop is a wrapper that claims to wrap itself.
type loop struct{ net.Conn }

func (l loop) NetConn() net.Conn { return l }

// hidden is a wrapper without a NetConn.
type hidden struct{ net.Conn }

func TestGateFindsItsConnBelowWrappers(t *testing.T) {
	for name, test := range map[string]struct {
		wrap func(net.Conn) net.Conn
		want error
	}{
		"no wrapper":       {func(c net.Conn) net.Conn { return c }, nil},
		"two wrappers":     {func(c net.Conn) net.Conn { return wrapper{wrapper{c}} }, nil},
		"hidden":           {func(c net.Conn) net.Conn { return hidden{c} }, ErrNotWrapped},
		"hidden below":     {func(c net.Conn) net.Conn { return wrapper{hidden{c}} }, ErrNotWrapped},
		"wraps itself":     {func(c net.Conn) net.Conn { return loop{c} }, ErrNotWrapped},
		"wraps nothing":    {func(c net.Conn) net.Conn { return unwrapsToNil{c} }, ErrNotWrapped},
		"conn of no gate":  {func(c net.Conn) net.Conn { return c.(*conn).Conn }, ErrNotWrapped},
		"conn of any gate": {func(c net.Conn) net.Conn { return new(Gate).Conn(c) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var reasons []error
			gate := &Gate{OnBypass: func(reason error) { reasons = append(reasons, reason) }}
			base, client := configs(testcert.New(t, testcert.Options{}))
			server := gate.Config(base)
			for _, resumed := range []bool{false, true} { // with the gate or without it
				near, far := tcp(t)
				got, err := greet(tls.Server(test.wrap(gate.Conn(far)), server), tls.Client(near, client))
				if err != nil || got.DidResume != resumed {
					t.Errorf("DidResume %v, error %v", got.DidResume, err)
				}
				held := len(far.from(1)) == 3 && len(records(far.from(1)[0])) == 1
				if held != (test.want == nil) {
					t.Errorf("held: %v\n%s", held, far)
				}
			}
			want := []error{test.want}
			if test.want == nil {
				want = nil
			}
			if !slices.Equal(reasons, want) {
				t.Errorf("OnBypass got %v, want %v, once", reasons, want)
			}
		})
	}
}

type unwrapsToNil struct{ net.Conn }

func (unwrapsToNil) NetConn() net.Conn { return nil }

// In TLS over TLS the gate's conn carries the records of the outer connection, so
// the inner one has no gate, and the outer one keeps its own.
func TestInnerTLSIsNotHeldByTheConnOfTheOuter(t *testing.T) {
	var reasons []error
	gate := &Gate{OnBypass: func(reason error) { reasons = append(reasons, reason) }}
	base, client := configs(testcert.New(t, testcert.Options{}))
	server := gate.Config(base)
	near, far := tcp(t)
	outer := tls.Server(gate.Conn(far), server)
	got, err := greet(tls.Server(outer, server), tls.Client(tls.Client(near, client), client))
	if err != nil || !got.HandshakeComplete {
		t.Error(err)
	}
	if len(reasons) != 1 || reasons[0] != ErrNotWrapped {
		t.Errorf("OnBypass got %v", reasons)
	}
}

// A ClientHelloInfo that a caller made has no Context, so no end can be waited for.
func TestHelloWithoutContextIsNotHeld(t *testing.T) {
	base, _ := configs(testcert.New(t, testcert.Options{}))
	var reason error
	gate := &Gate{OnBypass: func(err error) { reason = err }}
	_, far := tcp(t)
	if _, err := gate.Config(base).GetConfigForClient(&tls.ClientHelloInfo{Conn: gate.Conn(far)}); err != nil {
		t.Error(err)
	}
	if !errors.Is(reason, ErrNotWrapped) {
		t.Errorf("OnBypass got %v", reason)
	}
}

// The hello of crypto/tls has the Context that ends with the handshake, also where
// the caller gave one that goes on.
func TestContextOfHelloEndsWithTheHandshake(t *testing.T) {
	const lookAt = "the gate learns from ClientHelloInfo.Context that a handshake has ended: look at handshakeContext in crypto/tls, conn.go, and at handshakeReturned in hold.go"
	base, client := configs(testcert.New(t, testcert.Options{}))
	var handshake context.Context
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		handshake = hello.Context()
		return nil, nil
	}
	base.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		if handshake.Err() != nil {
			t.Error("the context ended before the handshake: " + lookAt)
		}
		return base.EncryptTicket(cs, ss)
	}
	near, far := tcp(t)
	go tls.Client(near, client).Handshake()
	if err := tls.Server(far, base).HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if handshake.Err() == nil {
		t.Error("the context goes on after the handshake: " + lookAt)
	}
}
