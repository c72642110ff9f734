package relay

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"postern/internal/smtp"
)

// The sender is told what a failure means for it, and the log who said so: only the server's own
// words are the server's.
func TestAReplyAfterAFailureSaysWhoseItIs(t *testing.T) {
	for what, tt := range map[string]struct {
		err    error
		remote bool
	}{
		"closed":            {io.EOF, false},
		"deferred greeting": {&refusedError{smtp.Reply{Code: 421, Lines: []string{"4.3.2 busy"}, Remote: true}}, true},
		"refused greeting":  {&refusedError{smtp.Reply{Code: 554, Lines: []string{"5.7.1 go away"}, Remote: true}}, false},
	} {
		if reply := (&stepError{stepGreeting, tt.err}).reply("S1"); reply.Remote != tt.remote || !reply.Transient() {
			t.Errorf("%s: %+v, want remote %v and 4xx", what, reply, tt.remote)
		}
	}
}

// The sender learns what kind of fault it is and that it should retry, the log what to do.
func TestEachFailureHasItsReplyAndItsLine(t *testing.T) {
	refuses := smtp.Reply{Code: 554, Lines: []string{"5.7.1 go away"}, Remote: true}
	busy := smtp.Reply{Code: 421, Lines: []string{"4.3.2 busy"}, Remote: true}
	for _, tt := range []struct {
		at         step
		err        error
		reply, log string
	}{
		{stepGreeting, &refusedError{refuses}, "451 4.3.0 next hop refuses mail from this server (id S1)", "relay: greeting: refused with 554 5.7.1 go away"},
		{stepHello, &refusedError{busy}, "421 4.3.2 busy", "relay: EHLO: refused with 421 4.3.2 busy"},
		{stepStartTLS, &missingError{"STARTTLS", "starttls=require"}, "451 4.3.5 next hop does not offer a required extension (id S1)",
			"relay: STARTTLS: server does not offer STARTTLS; enable it there or remove starttls=require"},
		{stepMail, os.ErrDeadlineExceeded, "451 4.4.1 next hop does not answer (id S1)", "relay: MAIL: i/o timeout"},
		{stepRcpt, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "451 4.4.1 next hop does not answer (id S1)", "relay: RCPT: read: i/o timeout"},
		{stepHandshake, &tlsError{"mail.test", true, x509.ErrUnsupportedAlgorithm}, "451 4.7.5 no secure connection to the next hop (id S1)",
			`relay: TLS handshake: x509: cannot verify signature: algorithm unimplemented (certificate must be valid for "mail.test" and signed by an authority that this system trusts)`},
		{stepHandshake, &tlsError{"mail.test", false, io.EOF}, "451 4.7.5 no secure connection to the next hop (id S1)",
			"relay: TLS handshake: EOF (starttls=off disables TLS)"},
		{stepConnect, syscall.ECONNREFUSED, "451 4.4.1 cannot connect to the next hop (id S1)", "relay: connect: connection refused"},
		{stepData, errUnexpectedReply, "451 4.5.0 invalid reply from the next hop (id S1)", "relay: DATA: unexpected reply"},
		{stepText, fmt.Errorf("%w: x", smtp.ErrReply), "451 4.5.0 invalid reply from the next hop (id S1)", "relay: text: smtp: not a reply: x"},
		{stepEnd, io.EOF, "451 4.4.2 lost connection to the next hop (id S1)", "relay: end of text: EOF"},
		{stepReset, syscall.ECONNRESET, "451 4.4.2 lost connection to the next hop (id S1)", "relay: RSET: connection reset by peer"},
	} {
		err := &stepError{tt.at, tt.err}
		if got := err.reply("S1").String(); got != tt.reply {
			t.Errorf("%v: reply %q, want %q", err, got, tt.reply)
		}
		if err.Error() != tt.log || !errors.Is(err, tt.err) {
			t.Errorf("error %q, want %q", err, tt.log)
		}
	}
	if got := (&stepError{stepEnd, io.EOF}).reply("").String(); got != "451 4.4.2 lost connection to the next hop" {
		t.Errorf("without a session: %q", got)
	}
}

// A server that has closed an idle connection is no failure: the message is sent on another.
func TestWhatAClosedConnectionIs(t *testing.T) {
	for err, want := range map[error]bool{
		io.EOF: true, io.ErrUnexpectedEOF: true, syscall.ECONNRESET: true, syscall.EPIPE: true,
		os.ErrDeadlineExceeded: false, errUnexpectedReply: false, syscall.ECONNREFUSED: false, smtp.ErrReply: false,
	} {
		if got := isClosed(&net.OpError{Op: "read", Err: err}); got != want {
			t.Errorf("%v: closed is %v", err, got)
		}
	}
}
