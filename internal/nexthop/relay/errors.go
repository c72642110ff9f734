package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"postern/internal/smtp"
)

// A step is where in the dialogue something went wrong, for the log.
type step string

const (
	stepConnect   step = "connect"
	stepProxy     step = "PROXY header"
	stepGreeting  step = "greeting"
	stepHello     step = "EHLO"
	stepStartTLS  step = "STARTTLS"
	stepHandshake step = "TLS handshake"
	stepXClient   step = "XCLIENT"
	stepReset     step = "RSET"
	stepMail      step = "MAIL"
	stepRcpt      step = "RCPT"
	stepData      step = "DATA"
	stepText      step = "text"
	stepEnd       step = "end of text"
)

// A troubleError is what went wrong with the server, and where.
type troubleError struct {
	at  step
	err error
}

// Error names the step.
func (t *troubleError) Error() string { return fmt.Sprintf("relay: %s: %v", t.at, t.err) }

// Unwrap is the error itself.
func (t *troubleError) Unwrap() error { return t.err }

// errTurn is a reply that nothing asked for, or one that its command cannot
// have, such as 250 to DATA.
var errTurn = errors.New("server speaks out of turn")

// A refusedError is the server's refusal to begin.
type refusedError struct{ reply smtp.Reply }

func (e *refusedError) Error() string { return "refused with " + e.reply.String() }

// A missingError is an extension that the configuration demands.
type missingError struct{ keyword, option string }

func (e *missingError) Error() string {
	return fmt.Sprintf("server does not offer %s to us, allow it there or leave %s out", e.keyword, e.option)
}

// A tlsError is a handshake that failed.
type tlsError struct {
	name     string
	verified bool
	err      error
}

func (e *tlsError) Error() string {
	if e.verified {
		return fmt.Sprintf("%v (certificate must be valid for %q under the system's roots)", e.err, e.name)
	}
	return fmt.Sprintf("%v (starttls=off does without)", e.err)
}

func (e *tlsError) Unwrap() error { return e.err }

// reply is what the sender of session id is told: always a 4xx, and nothing
// about the server that a stranger has no use for.
func (t *troubleError) reply(id string) smtp.Reply {
	var refused *refusedError
	if errors.As(t.err, &refused) && refused.reply.Transient() {
		return refused.reply
	}
	enhanced, text := t.words()
	if id != "" {
		text += " (id " + id + ")"
	}
	return smtp.NewReply(451, enhanced, text)
}

func (t *troubleError) words() (enhanced, text string) {
	var (
		refused *refusedError
		missing *missingError
		tls     *tlsError
	)
	switch {
	case errors.As(t.err, &refused):
		// A 5xx here is about us, not about the message: that shall not bounce.
		return "4.3.0", "next hop takes no mail from here"
	case errors.As(t.err, &missing):
		return "4.3.5", "next hop lacks what it is set up to have"
	case isTimeout(t.err):
		return "4.4.1", "next hop does not answer"
	case errors.As(t.err, &tls):
		return "4.7.5", "no secure connection to the next hop"
	case t.at == stepConnect:
		return "4.4.1", "next hop cannot be reached"
	case errors.Is(t.err, errTurn), errors.Is(t.err, smtp.ErrReply):
		return "4.5.0", "next hop's answer makes no sense"
	}
	return "4.4.2", "connection to the next hop was lost"
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// isLost reports that the server has closed the connection.
func isLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
