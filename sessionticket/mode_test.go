package sessionticket

import (
	"crypto/tls"
	"slices"
	"testing"

	"postern/internal/testcert"
)

func TestChooseSeesPeerAndDecides(t *testing.T) {
	base, client := configs(testcert.New(t, testcert.Options{}))
	base.CurvePreferences = []tls.CurveID{tls.CurveP384} // two ClientHellos
	for _, mode := range []Mode{OwnWrite, FirstWrite, NoTicket, Stock, Mode(77)} {
		near, far := tcp(t)
		asked := 0
		gate := &Gate{Mode: Stock, Choose: func(hello *tls.ClientHelloInfo) Mode {
			asked++
			if hello.Conn.RemoteAddr().String() != near.LocalAddr().String() || hello.ServerName != "localhost" {
				t.Errorf("Choose got %s from %s", hello.ServerName, hello.Conn.RemoteAddr())
			}
			return mode
		}}
		fresh := client.Clone()
		fresh.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		if _, err := greet(tls.Server(gate.Conn(far), gate.Config(base)), tls.Client(near, fresh)); err != nil {
			t.Fatal(err)
		}
		want := 5 // HelloRetryRequest, its ChangeCipherSpec, the flight, a line, close_notify
		if mode == OwnWrite || mode == Mode(77) {
			want++
		}
		_, given := fresh.ClientSessionCache.Get("localhost")
		if asked != 1 || far.count() != want || given != (mode != NoTicket) {
			t.Errorf("%s: asked %d times, ticket given: %v, wrote\n%s", mode, asked, given, far)
		}
	}
}

// TLS12 allows TLS 1.2 at most, and no ticket. It is for clients that fail on TLS 1.3, so
// one that offers TLS 1.3 alone gets NoTicket.
func TestTLS12OnlyIfBothSidesAllowIt(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(server, client *tls.Config)
		version uint16
		served  Mode
	}{
		"both":                  {func(_, _ *tls.Config) {}, tls.VersionTLS12, TLS12},
		"client of 1.3 alone":   {func(_, client *tls.Config) { client.MinVersion = tls.VersionTLS13 }, tls.VersionTLS13, NoTicket},
		"server of 1.3 alone":   {func(server, _ *tls.Config) { server.MinVersion = tls.VersionTLS13 }, tls.VersionTLS13, TLS12},
		"server of 1.2 at most": {func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12, TLS12},
	} {
		server, client := configs(testcert.New(t, testcert.Options{}))
		test.change(server, client)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		var served Mode
		gate := &Gate{Choose: func(hello *tls.ClientHelloInfo) Mode {
			served = TLS12.For(hello)
			return TLS12
		}}
		for range 2 {
			near, far := tcp(t)
			state, err := greet(tls.Server(gate.Conn(far), gate.Config(server)), tls.Client(near, client))
			_, ticket := client.ClientSessionCache.Get("localhost")
			if err != nil || state.Version != test.version || state.DidResume || ticket || served != test.served {
				t.Errorf("%s: version %x, resumed %v, ticket given %v, served %v, %v", name, state.Version, state.DidResume, ticket, served, err)
			}
		}
	}
}

// QUIC has no conn. Crypto/tls sends no ticket by itself there.
func TestQUICIsNotAffected(t *testing.T) {
	base, client := configs(testcert.New(t, testcert.Options{}))
	asked := false
	base.MinVersion, client.MinVersion = tls.VersionTLS13, tls.VersionTLS13
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		asked = true
		return nil, nil
	}
	gate := &Gate{
		Choose:   func(*tls.ClientHelloInfo) Mode { t.Error("Choose was called"); return NoTicket },
		OnBypass: func(reason error) { t.Error(reason) },
	}
	server := tls.QUICServer(&tls.QUICConfig{TLSConfig: gate.Config(base)})
	defer server.Close()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.HandleData(tls.QUICEncryptionLevelInitial, quicHello(t, client)); err != nil {
		t.Fatal(err)
	}
	if !asked {
		t.Error("the server did not get as far as GetConfigForClient")
	}
}

// quicHello returns the ClientHello of a QUIC client.
func quicHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	client := tls.QUICClient(&tls.QUICConfig{TLSConfig: config})
	defer client.Close()
	client.SetTransportParameters([]byte{})
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		switch event := client.NextEvent(); event.Kind {
		case tls.QUICWriteData:
			return slices.Clone(event.Data)
		case tls.QUICNoEvent:
			t.Fatal("the client has no ClientHello")
		}
	}
}
