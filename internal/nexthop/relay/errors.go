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

// A step is where in the conversation something failed, for the log.
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
	stepEnd       step = EndOfText
)

// EndOfText is the name of the step in which the server takes responsibility for a message.
const EndOfText = "end of text"

// Steps are the names of all steps, in their order.
func Steps() []string {
	var names []string
	for _, s := range []step{
		stepConnect, stepProxy, stepHandshake, stepGreeting, stepHello, stepStartTLS, stepXClient,
		stepReset, stepMail, stepRcpt, stepData, stepText, stepEnd,
	} {
		names = append(names, string(s))
	}
	return names
}

// A stepError is a failure of the server, and where it happened.
type stepError struct {
	at  step
	err error
}

// Error names the step.
func (e *stepError) Error() string { return fmt.Sprintf("relay: %s: %v", e.at, e.err) }

// Unwrap returns the error without the step.
func (e *stepError) Unwrap() error { return e.err }

// Errors of a message that waits for a connection in vain: all are in use, or the sender's
// network has its share.
var (
	errSlots = errors.New("too many messages at once")
	errShare = errors.New("too many messages from your network at once")
)

// noSlot returns the reply to such a message.
func (s *session) noSlot(err error) smtp.Reply {
	return smtp.NewReply(451, "4.3.2", err.Error()+", try again later (id "+s.sender.SessionID+")")
}

// errUnexpectedReply is returned for a reply that nothing asked for, or one that its
// command cannot have, such as 250 to DATA.
var errUnexpectedReply = errors.New("unexpected reply")

// A refusedError is the server's refusal to begin.
type refusedError struct{ reply smtp.Reply }

func (e *refusedError) Error() string { return "refused with " + e.reply.Clip().String() }

// ErrNotOffered is wrapped by the error of a server that lacks an extension which the
// configuration demands.
var ErrNotOffered = errors.New("extension not offered")

// A missingError says that the server lacks an extension that the configuration
// demands.
type missingError struct{ keyword, option string }

func (e *missingError) Error() string {
	return fmt.Sprintf("server does not offer %s; enable it there or remove %s", e.keyword, e.option)
}

// Is makes it an [ErrNotOffered].
func (e *missingError) Is(target error) bool { return target == ErrNotOffered }

// A tlsError is a failed handshake.
type tlsError struct {
	name     string
	verified bool
	err      error
}

func (e *tlsError) Error() string {
	if e.verified {
		return fmt.Sprintf("%v (certificate must be valid for %q and signed by an authority that this system trusts)", e.err, e.name)
	}
	return fmt.Sprintf("%v (starttls=off disables TLS)", e.err)
}

func (e *tlsError) Unwrap() error { return e.err }

// reply returns the reply to the sender in session id: always a 4xx, without details
// about the server.
func (e *stepError) reply(id string) smtp.Reply {
	var refused *refusedError
	if errors.As(e.err, &refused) && refused.reply.Transient() {
		return refused.reply
	}
	enhanced, text := e.replyText()
	if id != "" {
		text += " (id " + id + ")"
	}
	return smtp.NewReply(451, enhanced, text)
}

func (e *stepError) replyText() (enhanced, text string) {
	var (
		refused *refusedError
		missing *missingError
		tls     *tlsError
	)
	switch {
	case errors.As(e.err, &refused):
		// A 5xx here is about this server, not about the message, which must not bounce.
		return "4.3.0", "next hop refuses mail from this server"
	case errors.As(e.err, &missing):
		return "4.3.5", "next hop does not offer a required extension"
	case isTimeout(e.err):
		return "4.4.1", "next hop does not answer"
	case errors.As(e.err, &tls):
		return "4.7.5", "no secure connection to the next hop"
	case e.at == stepConnect:
		return "4.4.1", "cannot connect to the next hop"
	case errors.Is(e.err, errUnexpectedReply), errors.Is(e.err, smtp.ErrReply):
		return "4.5.0", "invalid reply from the next hop"
	}
	return "4.4.2", "lost connection to the next hop"
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// isClosed reports whether err says that the server has closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
