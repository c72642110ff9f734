package sessionticket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"testing"

	"postern/internal/testcert"
)

// changed returns configs with a change made to base, and the server's through a
// gate that must not be bypassed.
func changed(t *testing.T, change func(base *tls.Config)) (server, client *tls.Config) {
	t.Helper()
	base, client := configs(testcert.New(t, testcert.Options{}))
	change(base)
	return servers["gate"](t, base), client
}

// state runs a handshake over a conn of the gate and returns the client's state.
func state(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := tcp(t)
	return greet(tls.Server(new(Gate).Conn(far), server), tls.Client(near, client))
}

func TestGetConfigForClientIsCalledOnce(t *testing.T) {
	asked := 0
	server, client := changed(t, func(base *tls.Config) {
		inner := base.Clone()
		inner.NextProtos = []string{"inner"}
		inner.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			t.Error("the returned config's own GetConfigForClient was called")
			return nil, nil
		}
		base.Certificates = nil // the returned config replaces all of base
		base.CurvePreferences = []tls.CurveID{tls.CurveP384}
		base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			asked++
			if hello.ServerName != "localhost" || hello.Conn == nil {
				t.Errorf("GetConfigForClient got %q over %v", hello.ServerName, hello.Conn)
			}
			return inner, nil
		}
	})
	client.NextProtos = []string{"inner"}
	got, err := state(t, server, client)
	if err != nil || got.NegotiatedProtocol != "inner" || got.HelloRetryRequest || asked != 1 {
		t.Errorf("protocol %q, retry %v, asked %d times, error %v", got.NegotiatedProtocol, got.HelloRetryRequest, asked, err)
	}
}

func TestErrorOfGetConfigForClientEndsTheHandshake(t *testing.T) {
	refused := errors.New("refused")
	server, client := changed(t, func(base *tls.Config) {
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, refused }
	})
	near, far := tcp(t)
	go tls.Client(near, client).Handshake()
	if err := tls.Server(new(Gate).Conn(far), server).Handshake(); err != refused {
		t.Errorf("handshake gave %v", err)
	}
}

// Only one of the two session callbacks is set: the other is as in crypto/tls.
func TestSessionCallbacksKeepTheirMeaning(t *testing.T) {
	var wrapped, unwrapped int
	wrap := func(base *tls.Config) {
		base.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			wrapped++
			return base.EncryptTicket(cs, ss)
		}
	}
	unwrap := func(base *tls.Config) {
		base.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
			unwrapped++
			return base.DecryptTicket(identity, cs)
		}
	}
	for name, test := range map[string]struct {
		changes            []func(*tls.Config)
		wrapped, unwrapped int
	}{
		"neither":       {nil, 0, 0},
		"WrapSession":   {[]func(*tls.Config){wrap}, 2, 0},
		"UnwrapSession": {[]func(*tls.Config){unwrap}, 0, 1},
		"both":          {[]func(*tls.Config){wrap, unwrap}, 2, 1},
	} {
		wrapped, unwrapped = 0, 0
		server, client := changed(t, func(base *tls.Config) {
			for _, change := range test.changes {
				change(base)
			}
		})
		if resumes(t, server, client) || !resumes(t, server, client) {
			t.Errorf("%s: the second connection should resume, the first not", name)
		}
		if wrapped != test.wrapped || unwrapped != test.unwrapped {
			t.Errorf("%s: called %d and %d times, want %d and %d", name, wrapped, unwrapped, test.wrapped, test.unwrapped)
		}
	}
}

func TestErrorOfWrapSessionEndsTheHandshake(t *testing.T) {
	broken := errors.New("no keys")
	server, client := changed(t, func(base *tls.Config) {
		base.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { return nil, broken }
	})
	near, far := tcp(t)
	go tls.Client(near, client).Handshake()
	if err := tls.Server(new(Gate).Conn(far), server).Handshake(); err != broken {
		t.Errorf("handshake gave %v", err)
	}
}

func TestSessionTicketsDisabledStaysSo(t *testing.T) {
	server, client := changed(t, func(base *tls.Config) { base.SessionTicketsDisabled = true })
	for range 2 {
		if resumes(t, server, client) {
			t.Error("resumed with tickets off")
		}
	}
}

func TestOtherFieldsKeepTheirMeaning(t *testing.T) {
	var log bytes.Buffer
	asked := false
	server, client := changed(t, func(base *tls.Config) {
		certificate := base.Certificates[0]
		base.Certificates = nil
		base.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked = true
			return &certificate, nil
		}
		base.MaxVersion = tls.VersionTLS12
		base.KeyLogWriter = &log
	})
	got, err := state(t, server, client)
	if err != nil || got.Version != tls.VersionTLS12 || !asked || !bytes.HasPrefix(log.Bytes(), []byte("CLIENT_RANDOM ")) {
		t.Errorf("version %x, GetCertificate asked %v, key log %q, error %v", got.Version, asked, log.Bytes(), err)
	}
	client.MaxVersion = tls.VersionTLS12
	server, _ = changed(t, func(base *tls.Config) { base.MinVersion = tls.VersionTLS13 })
	near, far := tcp(t)
	go tls.Client(near, client).Handshake()
	if tls.Server(new(Gate).Conn(far), server).Handshake() == nil {
		t.Error("MinVersion had no effect")
	}
}

// Base is shared by many listeners, and is the same before and after.
func TestBaseIsNotModified(t *testing.T) {
	base, client := configs(testcert.New(t, testcert.Options{}))
	base.SetSessionTicketKeys([][32]byte{{1}})
	lookForKeys(base) // crypto/tls itself fills SessionTicketKey on first use
	before := base.Clone()
	for _, mode := range []Mode{OwnWrite, FirstWrite, NoTicket, Stock} {
		gate := &Gate{Mode: mode}
		resumes(t, gate.Config(base), client)
	}
	if !reflect.DeepEqual(before, base.Clone()) {
		t.Error("base was modified")
	}
}

func TestNilBaseIsAnEmptyConfig(t *testing.T) {
	near, far := tcp(t)
	_, client := configs(testcert.New(t, testcert.Options{}))
	go tls.Client(near, client).Handshake()
	if err := tls.Server(new(Gate).Conn(far), new(Gate).Config(nil)).Handshake(); err == nil {
		t.Error("handshake without a certificate succeeded")
	}
}

// A gate can be used over another gate.
func TestGatesNest(t *testing.T) {
	base, client := configs(testcert.New(t, testcert.Options{}))
	outer := &Gate{OnBypass: func(reason error) { t.Error(reason) }}
	server := outer.Config(servers["gate"](t, base))
	for _, want := range []bool{false, true} {
		near, far := tcp(t)
		var conn net.Conn = new(Gate).Conn(new(Gate).Conn(far))
		got, err := greet(tls.Server(conn, server), tls.Client(near, client))
		if err != nil || got.DidResume != want {
			t.Errorf("DidResume %v, error %v", got.DidResume, err)
		}
		if n := len(far.from(1)); n != 3 {
			t.Errorf("wrote\n%swant the flight, the ticket, the line, and close_notify", far)
		}
	}
}
