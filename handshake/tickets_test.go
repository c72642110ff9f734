package handshake

import (
	"crypto/tls"
	"io"
	"testing"

	"postern/sessionticket"
)

// telling makes config tell recorded of its tickets, as a server does that wants them
// known for certain.
func telling(config *tls.Config, recorded *Conn) *tls.Config {
	config = config.Clone()
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		ticket, err := config.EncryptTicket(state, session)
		recorded.Ticket(len(ticket))
		return ticket, err
	}
	return config
}

// In a protocol where the server speaks first its ticket and its greeting look alike.
func TestTicketAndGreetingAreToldApart(t *testing.T) {
	for _, test := range []struct {
		policy       sessionticket.Policy
		told, untold string // of the server after the handshake
	}{
		{policy: sessionticket.Stock, told: "Ticket?!\n> CCS Fin?\n< Data?", untold: "Ticket?!\n> CCS Fin?\n< Data?"},
		{policy: sessionticket.FirstWrite, told: "\n> CCS Fin?\n< Ticket? Data?", untold: "\n> CCS Fin?\n< Ticket? Data?"},
		{policy: sessionticket.OwnWrite, told: "\n> CCS Fin?\n< Ticket?\n< Data?", untold: "\n> CCS Fin?\n< Unknown\n< Unknown"},
		{policy: sessionticket.Never, told: "\n> CCS Fin?\n< Data?", untold: "\n> CCS Fin?\n< Unknown"},
	} {
		for _, tell := range []bool{true, false} {
			t.Run(test.policy.String(), func(t *testing.T) {
				after := test.untold
				if tell {
					after = test.told
				}
				if after[0] != '\n' {
					after = " " + after
				}
				checkOutline(t, greeted(t, test.policy, tell), "> CH\n< SH CCS EE? Cert? CV? Fin?"+after+"\n< Alert?\nclosed by server, completed true, unused")
			})
		}
	}
}

// greeted is a handshake, a greeting by the server and its close.
func greeted(t *testing.T, policy sessionticket.Policy, tell bool) *Transcript {
	t.Helper()
	near, far := tcp(t)
	serverConfig, clientConfig := configs(t)
	recorded := NewConn(far, AtServer)
	recorded.Begin()
	recorded.ServerFirst()
	if tell {
		recorded.Ticket(0)
		serverConfig = telling(serverConfig, recorded)
	}
	gate := &sessionticket.Gate{Policy: policy}
	secure := tls.Server(gate.Conn(recorded), gate.Config(serverConfig))
	done := make(chan struct{})
	go func() { io.ReadAll(tls.Client(near, clientConfig)); close(done) }()
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	recorded.Complete()
	io.WriteString(secure, "220 mx.example.org ESMTP\r\n")
	secure.Close()
	<-done
	return recorded.Stop(Unused)
}
