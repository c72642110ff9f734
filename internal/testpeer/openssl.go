package testpeer

import (
	"os"
	"strings"
)

// OpenSSLOptions says how `openssl s_client` sends its message.
type OpenSSLOptions struct {
	Message   Message
	Handshake Handshake
	// SessionFile keeps the TLS session from one call to the next: the session in
	// it is offered, if the file exists, and a new one is written to it.
	SessionFile string
	// CAFile holds what the server's certificate, for localhost, must verify
	// against. Without it any certificate will do.
	CAFile string
	// HelloOnly says EHLO and QUIT over TLS, and delivers nothing. Then Delivery.Reply
	// is what came to EHLO.
	HelloOnly bool
	// KeyLog is a file to write the session's secrets to (RFC 9850). Empty: none.
	KeyLog string
	// Args are further arguments of s_client.
	Args []string
}

// SendOpenSSL delivers one message to addr with `openssl s_client -starttls smtp`.
func SendOpenSSL(t T, addr string, o OpenSSLOptions) Delivery {
	t.Helper()
	// Without -ign_eof s_client takes a line that starts with R or Q for itself.
	args := []string{"s_client", "-starttls", "smtp", "-ign_eof", "-connect", addr, "-servername", "localhost"}
	args = append(args, o.handshakeArgs()...)
	if o.SessionFile != "" {
		args = append(args, "-sess_out", o.SessionFile)
		if _, err := os.Stat(o.SessionFile); err == nil {
			args = append(args, "-sess_in", o.SessionFile)
		}
	}
	if o.CAFile != "" {
		args = append(args, "-CAfile", o.CAFile, "-verify_hostname", "localhost", "-verify_return_error")
	}
	if o.KeyLog != "" {
		args = append(args, "-keylogfile", o.KeyLog)
	}
	d := tool{name: "openssl", args: append(args, o.Args...), helloOnly: o.HelloOnly}.run(t, o.Message)
	d.Resumed = strings.Contains(d.Output, "\nReused, TLS")
	return d
}

func (o OpenSSLOptions) handshakeArgs() []string {
	switch o.Handshake {
	case RetriedHandshake:
		return []string{"-groups", retryGroups}
	case TLS12Handshake:
		return []string{"-tls1_2"}
	case RSAHandshake:
		return []string{"-sigalgs", rsaSignatures, "-cipher", rsaCiphers}
	}
	return nil
}
