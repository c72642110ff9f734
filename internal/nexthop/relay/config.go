package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says how to speak to a server. [ParseURL] makes one from a URL.
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
	// DataBlock is for the server to take 16 KiB of text: 3 min (RFC 5321,
	// Section 4.5.3.2.5).
	DataBlock time.Duration
	// DataTermination is for the replies to the text's end: 10 min (RFC 5321,
	// Section 4.5.3.2.6).
	DataTermination time.Duration
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
		{&t.DataBlock, 3 * time.Minute},
		{&t.DataTermination, 10 * time.Minute},
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

// ErrURL says that a next hop's URL cannot be used. It is wrapped with the URL,
// what is wrong with it, and the remedy.
var ErrURL = errors.New("relay: next hop")

// ParseURL reads a next hop's URL:
//
//	smtp://host[:25]     SMTP, with STARTTLS where the server offers it
//	smtps://host[:465]   SMTP in TLS; the certificate must be valid for host
//	lmtp://host:port     LMTP; it has no port of its own (RFC 2033, Section 5)
//	lmtp+unix:///path    LMTP over a unix socket
//
// and its options:
//
//	starttls=auto        (default) use STARTTLS if offered, verify nothing
//	starttls=require     insist on it, and on a certificate valid for host
//	starttls=off         never use it
//	name=NAME            the certificate must be valid for NAME, not for host
//	proxy=v2             begin with a PROXY protocol header, version 2
//	xclient=auto|on|off  tell the server about the sender by XCLIENT: where
//	                     offered (default), always, never
//	connect-timeout=10s  how long the server may take: to accept the connection,
//	command-timeout=2m   to answer a command,
//	text-timeout=3m      to read on in a text,
//	end-timeout=10m      to answer a text's end (see [Timeouts])
//
// Certificates are verified under the system's roots. The error wraps
// [ErrURL].
func ParseURL(raw string) (Config, error) {
	u, err := url.Parse(raw)
	if err != nil {
		var detail *url.Error
		if errors.As(err, &detail) {
			err = detail.Err
		}
		return Config{}, fmt.Errorf("%w %q: %w", ErrURL, raw, err)
	}
	config, err := parseTarget(u)
	if err == nil {
		err = config.setOptions(u)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w %q: %w", ErrURL, u.Redacted(), err)
	}
	return config, nil
}

// parseTarget reads all of u but its options.
func parseTarget(u *url.URL) (Config, error) {
	if u.User != nil {
		return Config{}, errors.New("user and password are not supported, leave them out")
	}
	if u.Fragment != "" {
		return Config{}, fmt.Errorf("#%s means nothing here, leave it out", u.Fragment)
	}
	switch u.Scheme {
	case "smtp":
		return parseHost(u, Config{TLS: TLSAuto}, "25")
	case "smtps":
		return parseHost(u, Config{TLS: TLSImplicit}, "465")
	case "lmtp":
		return parseHost(u, Config{TLS: TLSAuto, LMTP: true}, "")
	case "lmtp+unix":
		return parseSocket(u)
	case "":
		return Config{}, errors.New("scheme missing, use smtp://, smtps://, lmtp:// or lmtp+unix://")
	}
	return Config{}, fmt.Errorf("unknown scheme %q, use smtp, smtps, lmtp or lmtp+unix", u.Scheme)
}

func parseHost(u *url.URL, config Config, defaultPort string) (Config, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = defaultPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return Config{}, fmt.Errorf("host missing, write %s://HOST:PORT", u.Scheme)
	case port == "":
		return Config{}, fmt.Errorf("port missing, write %s://%s:PORT; LMTP has no port of its own", u.Scheme, host)
	case err != nil || number == 0:
		return Config{}, fmt.Errorf("bad port %q, use 1 to 65535", port)
	case u.Path != "" && u.Path != "/":
		return Config{}, fmt.Errorf("path %q means nothing here, leave it out", u.Path)
	}
	config.Network = "tcp"
	config.Address = net.JoinHostPort(host, port)
	config.Name = host
	return config, nil
}

func parseSocket(u *url.URL) (Config, error) {
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return Config{}, errors.New("socket's path missing, write lmtp+unix:///path/to/socket")
	}
	return Config{Network: "unix", Address: u.Path, LMTP: true, TLS: TLSOff}, nil
}

// setOptions reads the options of u.
func (c *Config) setOptions(u *url.URL) error {
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("bad options %q: %w", u.RawQuery, err)
	}
	keys := make([]string, 0, len(options))
	for key := range options {
		keys = append(keys, key)
	}
	slices.Sort(keys) // so that starttls stands behind name, which it judges
	for _, key := range keys {
		if len(options[key]) > 1 {
			return fmt.Errorf("option %s is given twice", key)
		}
		if err := c.setOption(key, options.Get(key)); err != nil {
			return err
		}
	}
	if options.Has("name") && c.TLS == TLSOff {
		return errors.New("name is of no use without TLS, leave it out")
	}
	return nil
}

func (c *Config) setOption(key, value string) error {
	switch key {
	case "starttls":
		return c.setStartTLS(value)
	case "name":
		if value == "" {
			return errors.New("name is empty, give the name in the server's certificate")
		}
		c.Name = value
		return nil
	case "proxy":
		c.ProxyV2 = true
		return oneOf(key, value, "v2")
	case "xclient":
		c.XClient = map[string]XClientMode{"on": XClientOn, "off": XClientOff}[value]
		return oneOf(key, value, "auto", "on", "off")
	}
	return c.Timeouts.setOption(key, value)
}

func (t *Timeouts) setOption(key, value string) error {
	timeouts := map[string]*time.Duration{
		"connect-timeout": &t.Connect,
		"command-timeout": &t.Command,
		"text-timeout":    &t.DataBlock,
		"end-timeout":     &t.DataTermination,
	}
	timeout, known := timeouts[key]
	if !known {
		return fmt.Errorf("unknown option %q, there are starttls, name, proxy, xclient, and connect-, command-, text- and end-timeout", key)
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return fmt.Errorf("option %s=%q, use a number with one of the units ms, s, m and h, such as 30s", key, value)
	}
	*timeout = d
	return nil
}

func (c *Config) setStartTLS(value string) error {
	switch {
	case c.Network == "unix":
		return errors.New("starttls is of no use on a unix socket, leave it out")
	case c.TLS == TLSImplicit:
		return errors.New("smtps begins with TLS, leave starttls out")
	}
	c.TLS = map[string]TLSMode{"auto": TLSAuto, "require": TLSRequire}[value]
	return oneOf("starttls", value, "auto", "require", "off")
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("option %s=%q, use %s", key, value, strings.Join(allowed, ", "))
}
