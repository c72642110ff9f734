package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"testing"
	"time"

	"postern/sessionticket/strictclient"
)

// The client of https://go.dev/issue/70232, which closes when the ticket comes
// before its Finished, gets in with every policy but that of crypto/tls as it is.
// Where there are tickets it resumes. What becomes of it with that one is told by
// healing_test.go.
func TestStrictClientGetsInBehindTheGate(t *testing.T) {
	for _, tt := range []struct {
		policy  string
		resumes bool
	}{
		{"first-write", true},
		{"own-write", true},
		{"never", false},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			p := start(t, "--ticket-policy", tt.policy)
			config := anyCertificate()
			for session := range 2 {
				resumed, err := deliverStrictly(p.addr, config)
				if err != nil {
					t.Errorf("session %d: %v", session, err)
				} else if resumed != (tt.resumes && session == 1) {
					t.Errorf("session %d resumed: %v", session, resumed)
				}
			}
			p.awaitSessions(2)
			if got := len(p.maildir().messages(t)); got != 2 {
				t.Errorf("%d messages stored, want 2", got)
			}
		})
	}
}

// deliverStrictly sends one message as a strict client and reports whether its
// TLS session was resumed.
func deliverStrictly(addr string, config *tls.Config) (resumed bool, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	client, err := strictclient.StartTLS(conn, "strict.test", config)
	if err != nil {
		return false, err
	}
	defer client.Close()
	state, _ := client.TLSConnectionState()
	return state.DidResume, sendLetter(client)
}

func sendLetter(client *smtp.Client) error {
	m := newLetter("strict", 0)
	if err := client.Mail(m.from); err != nil {
		return err
	}
	if err := client.Rcpt(m.to[0]); err != nil {
		return err
	}
	text, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(text, m.text); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	return client.Quit()
}
