package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"testing"
	"time"

	"postern/internal/strictclient"
)

// The client of https://go.dev/issue/70232, which closes when the ticket comes
// before its Finished, fails against crypto/tls as it is and gets in with every
// other policy. Where there are tickets it resumes.
func TestStrictClientGetsInBehindTheGate(t *testing.T) {
	for _, tt := range []struct {
		policy          string
		getsIn, resumes bool
	}{
		{"stock", false, false},
		{"first-write", true, true},
		{"own-write", true, true},
		{"never", true, false},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			p := start(t, "--ticket-policy", tt.policy)
			config := anyCertificate()
			for session := range 2 {
				resumed, err := deliverStrictly(p.addr, config)
				switch {
				case !tt.getsIn && !errors.Is(err, strictclient.ErrEarlyTicket):
					t.Errorf("session %d: %v, want the client to close because of the early ticket", session, err)
				case tt.getsIn && err != nil:
					t.Errorf("session %d: %v", session, err)
				case tt.getsIn && resumed != (tt.resumes && session == 1):
					t.Errorf("session %d resumed: %v", session, resumed)
				}
			}
			checkStrictly(t, p, tt.getsIn)
		})
	}
}

// checkStrictly looks at what two sessions of a strict client have left.
func checkStrictly(t *testing.T, p *postern, getsIn bool) {
	t.Helper()
	stored, end := 2, "end=quit"
	if !getsIn {
		stored, end = 0, `end="TLS handshake failed" err=EOF`
	}
	if err := p.journal.awaitCount(2, "msg=session", end); err != nil {
		t.Error(err)
	}
	if got := len(p.maildir().messages(t)); got != stored {
		t.Errorf("%d messages stored, want %d", got, stored)
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
