package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// Config says how to speak to a server. [Parse] makes one from a URL.
type Config struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of a socket
	LMTP    bool

	TLS  TLSMode
	Name string // the name that TLS asks for and verifies

	// RootCAs are trusted to sign the server's certificate; nil means the
	// system's.
	RootCAs *x509.CertPool

	ProxyV2 bool // begin with a PROXY protocol header
	XClient XClientMode

	Timeouts Timeouts

	// Dial connects; nil means a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// TLSMode says when TLS is used and what of it is verified.
type TLSMode int

const (
	// TLSOff never uses TLS.
	TLSOff TLSMode = iota
	// TLSAuto uses STARTTLS where it is offered. The certificate is not
	// verified: that would not be safer, since one who can show a false
	// certificate can also hide STARTTLS.
	TLSAuto
	// TLSRequire uses STARTTLS, and the certificate must be valid for
	// [Config.Name] and signed under [Config.RootCAs].
	TLSRequire
	// TLSImplicit begins with TLS (RFC 8314, Section 3), verified like
	// TLSRequire.
	TLSImplicit
)

// XClientMode says whether the server is told about the sender by XCLIENT.
type XClientMode int

const (
	// XClientAuto uses XCLIENT where the server offers it.
	XClientAuto XClientMode = iota
	// XClientOn gives the server no message unless it takes XCLIENT.
	XClientOn
	// XClientOff never uses XCLIENT.
	XClientOff
)

// Timeouts bound each step. Zero means the default.
type Timeouts struct {
	// Connect is for the TCP connection: 10 s.
	Connect time.Duration
	// Command is for a reply, and for all from the connection to the first
	// MAIL together: 2 min. RFC 5321, Section 4.5.3.2, lets a client wait 5
	// min for the greeting and for most replies; here the sender waits behind
	// us, and it gives up after as long.
	Command time.Duration
	// Text is for the server to take 16 KiB of text: 3 min (RFC 5321,
	// Section 4.5.3.2.5).
	Text time.Duration
	// End is for the replies to the text's end: 10 min (RFC 5321,
	// Section 4.5.3.2.6).
	End time.Duration
	// Quit is for the reply to QUIT, which nobody needs: 1 s.
	Quit time.Duration
}

func (t Timeouts) orDefaults() Timeouts {
	for _, d := range []struct {
		value   *time.Duration
		Default time.Duration
	}{
		{&t.Connect, 10 * time.Second},
		{&t.Command, 2 * time.Minute},
		{&t.Text, 3 * time.Minute},
		{&t.End, 10 * time.Minute},
		{&t.Quit, time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.Default
		}
	}
	return t
}

// String is the server in short, for the log: "smtp://127.0.0.1:25".
func (c Config) String() string {
	switch {
	case c.Network == "unix":
		return "lmtp+unix://" + c.Address
	case c.LMTP:
		return "lmtp://" + c.Address
	case c.TLS == TLSImplicit:
		return "smtps://" + c.Address
	}
	return "smtp://" + c.Address
}

// verified reports whether the server's certificate is.
func (c Config) verified() bool { return c.TLS == TLSRequire || c.TLS == TLSImplicit }

func (c Config) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.Name,
		RootCAs:            c.RootCAs,
		InsecureSkipVerify: !c.verified(),
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		// Else the first texts of a connection leave in records, and so in
		// writes, of about 1,400 bytes.
		DynamicRecordSizingDisabled: true,
	}
}
