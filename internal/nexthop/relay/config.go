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

// Config describes a server and how to connect to it. [ParseURL] makes one from a URL.
type Config struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of a socket
	LMTP    bool

	TLS  TLSMode
	Name string // the server name for TLS: sent, and verified

	// RootCAs are the authorities for the server's certificate; nil means the
	// system's.
	RootCAs *x509.CertPool

	Proxy   int // the version of the PROXY protocol header to begin with, 1 or 2; 0 for none
	XClient XClientMode

	Timeouts Timeouts

	// Connections bounds the connections that are open at once, besides one of
	// [Hop.Probe]. It must be below what the server takes. Zero means 80.
	Connections int

	// Observe, when not nil, is called for each step with the server that has ended: its name
	// as in the log, and how long the server took, or that the server failed. A refusal is no
	// failure. Sessions wait for it.
	Observe func(step string, took time.Duration, failed bool)

	// Dial connects; nil means a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DefaultConnections is the default of [Config].Connections. It is below the 100 processes
// that are the default of Postfix and of Dovecot: others may deliver to the server too.
const DefaultConnections = 80

// TLSMode says when TLS is used and whether the certificate is verified.
type TLSMode int

const (
	// TLSOff never uses TLS.
	TLSOff TLSMode = iota
	// TLSAuto uses STARTTLS if it is offered. The certificate is not verified,
	// which would add nothing: an attacker who can present a false certificate
	// can also remove STARTTLS from the reply.
	TLSAuto
	// TLSRequire uses STARTTLS, and the certificate must be valid for
	// [Config.Name] and signed under [Config.RootCAs].
	TLSRequire
	// TLSImplicit begins with TLS (RFC 8314, Section 3), verified like
	// TLSRequire.
	TLSImplicit
)

// XClientMode says whether XCLIENT is used.
type XClientMode int

const (
	// XClientAuto uses XCLIENT if the server offers it.
	XClientAuto XClientMode = iota
	// XClientOn sends no mail to a server that does not offer XCLIENT.
	XClientOn
	// XClientOff never uses XCLIENT.
	XClientOff
)

// Timeouts bound each step. Zero means the default.
type Timeouts struct {
	// Connect is for the TCP connection: 10 s.
	Connect time.Duration
	// Command is for a reply, and for everything from the connection to the
	// first MAIL together: 2 min. RFC 5321, Section 4.5.3.2, has 5 min for the
	// greeting and for most replies, but here the sender waits too, and it gives
	// up after that time.
	Command time.Duration
	// DataBlock is for sending 16 KiB of text: 3 min (RFC 5321,
	// Section 4.5.3.2.5).
	DataBlock time.Duration
	// DataTermination is for the replies to the end of the text: 10 min (RFC 5321,
	// Section 4.5.3.2.6).
	DataTermination time.Duration
	// Quit is for the reply to QUIT, which does not matter: 1 s.
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

// String returns the server as a URL without options, for the log: "smtp://127.0.0.1:25".
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

// verified reports whether the server's certificate is verified.
func (c Config) verified() bool { return c.TLS == TLSRequire || c.TLS == TLSImplicit }

func (c Config) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.Name,
		RootCAs:            c.RootCAs,
		InsecureSkipVerify: !c.verified(),
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		// Otherwise the first texts of a connection are sent in records, and so in
		// writes, of about 1,400 bytes.
		DynamicRecordSizingDisabled: true,
	}
}

// ErrURL is returned for an invalid URL, wrapped with the URL, what is wrong with it,
// and the remedy.
var ErrURL = errors.New("relay: next hop")

// ParseURL parses the URL of a server:
//
//	smtp://host[:25]     SMTP, with STARTTLS if the server offers it
//	smtps://host[:465]   SMTP over TLS; the certificate must be valid for host
//	lmtp://host:port     LMTP, which has no default port (RFC 2033, Section 5)
//	lmtp+unix:///path    LMTP over a unix socket
//
// and its options:
//
//	starttls=auto        use STARTTLS if offered, verify nothing (default)
//	starttls=require     require STARTTLS and a certificate valid for host
//	starttls=off         never use STARTTLS
//	name=NAME            the certificate must be valid for NAME, not for host
//	proxy=v1|v2          begin with a PROXY protocol header of that version
//	xclient=auto|on|off  send the sender's address by XCLIENT: if offered (default),
//	                     always, never
//	connect-timeout=10s  time limits (see [Timeouts]): to connect,
//	command-timeout=2m   for a reply,
//	text-timeout=3m      to send 16 KiB of text,
//	end-timeout=10m      for the reply to the end of the text
//	connections=80       open at once; must be below what the server takes
//
// Certificates must be signed by an authority that the system trusts. The error
// wraps [ErrURL].
func ParseURL(raw string) (Config, error) {
	u, err := url.Parse(raw)
	var detail *url.Error
	switch {
	case !strings.Contains(raw, "://"): // an address with a port looks like another mistake, or like a scheme
		err = errors.New("no scheme; use smtp://, smtps://, lmtp:// or lmtp+unix://")
	case errors.As(err, &detail):
		err = detail.Err
	}
	if err != nil {
		raw = raw[strings.LastIndexByte(raw, '@')+1:] // what is before it can be a password
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

// parseTarget parses all of u but its options.
func parseTarget(u *url.URL) (Config, error) {
	if u.User != nil {
		return Config{}, errors.New("user and password are not supported; remove them")
	}
	if u.Fragment != "" {
		return Config{}, fmt.Errorf("#%s has no meaning here; remove it", u.Fragment)
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
	}
	return Config{}, fmt.Errorf("unknown scheme %q; use smtp, smtps, lmtp or lmtp+unix", u.Scheme)
}

func parseHost(u *url.URL, config Config, defaultPort string) (Config, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = defaultPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return Config{}, fmt.Errorf("no host; write %s://HOST:PORT", u.Scheme)
	case port == "":
		return Config{}, fmt.Errorf("no port, and LMTP has no default; write %s://%s:PORT", u.Scheme, host)
	case err != nil || number == 0:
		return Config{}, fmt.Errorf("invalid port %q; use 1 to 65535", port)
	case u.Path != "" && u.Path != "/":
		return Config{}, fmt.Errorf("path %q has no meaning here; remove it", u.Path)
	}
	config.Network = "tcp"
	config.Address = net.JoinHostPort(host, port)
	config.Name = host
	return config, nil
}

func parseSocket(u *url.URL) (Config, error) {
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return Config{}, errors.New("no path of a socket; write lmtp+unix:///path/to/socket")
	}
	return Config{Network: "unix", Address: u.Path, LMTP: true, TLS: TLSOff}, nil
}

// setOptions parses the options of u.
func (c *Config) setOptions(u *url.URL) error {
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("invalid options %q: %w", u.RawQuery, err)
	}
	keys := make([]string, 0, len(options))
	for key := range options {
		keys = append(keys, key)
	}
	slices.Sort(keys) // the same URL always gives the same error
	for _, key := range keys {
		if len(options[key]) > 1 {
			return fmt.Errorf("option %s is given twice", key)
		}
		if err := c.setOption(key, options.Get(key)); err != nil {
			return err
		}
	}
	if options.Has("name") && c.TLS == TLSOff {
		return errors.New("name has no effect without TLS; remove it")
	}
	return nil
}

func (c *Config) setOption(key, value string) error {
	switch key {
	case "starttls":
		return c.setStartTLS(value)
	case "name":
		if value == "" {
			return errors.New("name is empty; write the name in the server's certificate")
		}
		c.Name = value
		return nil
	case "proxy":
		c.Proxy = map[string]int{"v1": 1, "v2": 2}[value]
		return oneOf(key, value, "v1", "v2")
	case "xclient":
		c.XClient = map[string]XClientMode{"on": XClientOn, "off": XClientOff}[value]
		return oneOf(key, value, "auto", "on", "off")
	case "connections":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("invalid option %s=%q; use a number from 1 on, below what the server takes", key, value)
		}
		c.Connections = n
		return nil
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
		return fmt.Errorf("unknown option %q; use starttls, name, proxy, xclient, connections, connect-timeout, command-timeout, text-timeout or end-timeout", key)
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return fmt.Errorf("invalid option %s=%q; use a number with unit ms, s, m or h, such as 30s", key, value)
	}
	*timeout = d
	return nil
}

func (c *Config) setStartTLS(value string) error {
	switch {
	case c.Network == "unix":
		return errors.New("starttls has no effect on a unix socket; remove it")
	case c.TLS == TLSImplicit:
		return errors.New("starttls has no effect with smtps, which begins with TLS; remove it")
	}
	c.TLS = map[string]TLSMode{"auto": TLSAuto, "require": TLSRequire}[value]
	return oneOf("starttls", value, "auto", "require", "off")
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("invalid option %s=%q; use %s", key, value, strings.Join(allowed, ", "))
}
