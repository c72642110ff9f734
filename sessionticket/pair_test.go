package sessionticket

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"

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
func shaken(t *testing.T, mode Mode, near, far net.Conn, change func(server, client *tls.Config)) *pair {
	t.Helper()
	server, client := configs(testcert.New(t, testcert.Options{}))
	p := &pair{near: near, far: &wire{Conn: far}, keys: new(keyLog)}
	client.KeyLogWriter = p.keys
	if change != nil {
		change(server, client)
	}
	noteLabels(server, func(label int) { p.label = label })
	gate := &Gate{Mode: mode, OnBypass: func(reason error) { t.Error(reason) }}
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
