package testpeer

import "strings"

// GnuTLSOptions says how gnutls-cli sends its message.
type GnuTLSOptions struct {
	Message   Message
	Handshake Handshake
	// CAFile holds what the server's certificate, for localhost, must verify
	// against. Without it any certificate will do.
	CAFile string
	// Args are further arguments of gnutls-cli.
	Args []string
}

// SendGnuTLS connects to addr twice with `gnutls-cli --resume`: the first
// connection ends after its handshake, without a command; the second offers the
// session of the first and delivers the message. A ticket that is
// still to come when the first handshake ends is waited for, but only for a
// round trip and 50 ms: gnutls_session_get_data2(3).
func SendGnuTLS(t T, addr string, o GnuTLSOptions) Delivery {
	t.Helper()
	host, port := splitAddr(t, addr)
	args := []string{"--starttls-proto=smtp", "--resume", "--port", port, "--priority", o.Handshake.gnutlsPriority()}
	if o.CAFile != "" {
		args = append(args, "--x509cafile", o.CAFile, "--verify-hostname=localhost")
	} else {
		args = append(args, "--insecure")
	}
	args = append(append(args, o.Args...), host)
	d := runTool(t, o.Message, "gnutls-cli", args...)
	d.Resumed = strings.Contains(d.Output, "*** This is a resumed session")
	return d
}
