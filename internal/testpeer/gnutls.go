package testpeer

import (
	"io"
	"strings"
)

// GnuTLSOptions says how gnutls-cli sends its message.
type GnuTLSOptions struct {
	Message   Message
	Handshake Handshake
	// CAFile holds what the server's certificate, for localhost, must verify
	// against. Without it any certificate will do.
	CAFile string
	// HelloOnly says EHLO and QUIT over TLS, and delivers nothing. Then Delivery.Reply
	// is what came to EHLO.
	HelloOnly bool
	// KeyLog is a file to write the session's secrets to (RFC 9850). Empty: none.
	KeyLog string
	// Args are further arguments of gnutls-cli.
	Args []string
}

// SendGnuTLS connects to addr twice with gnutls-cli: over the first connection
// it says EHLO, as a sender does that comes for the first time; the second
// offers the session of the first and delivers the message. It is not the
// tool's --resume, which leaves the first connection without a word, and so
// before a server that sends its ticket with its first reply has sent it.
func SendGnuTLS(t T, addr string, o GnuTLSOptions) Delivery {
	t.Helper()
	host, port := splitAddr(t, addr)
	args := []string{"--starttls-proto=smtp", "--inline-commands", "--port", port, "--priority", o.Handshake.gnutlsPriority()}
	if o.CAFile != "" {
		args = append(args, "--x509cafile", o.CAFile, "--verify-hostname=localhost")
	} else {
		args = append(args, "--insecure")
	}
	args = append(append(args, o.Args...), host)
	d := tool{name: "gnutls-cli", args: args, keyLog: o.KeyLog, before: resume, helloOnly: o.HelloOnly}.run(t, o.Message)
	d.Resumed = strings.Contains(d.Output, "*** This is a resumed session")
	return d
}

// resume makes gnutls-cli connect anew and offer the session.
func resume(d *dialogue) {
	d.exchange(sayEHLO + "\r\n")
	_, _ = io.WriteString(d.commands, "^resume^\n") // an error shows as no reply
}
