package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"postern/internal/config"
	"postern/internal/front"
)

// An Endpoint is an address to listen on.
type Endpoint struct {
	Address  string
	Protocol Protocol
	setting  string // the flag or key that sets it
}

// String returns the address and its protocol, as operators read them.
func (e Endpoint) String() string { return fmt.Sprintf("%s (%s)", e.Address, e.Protocol) }

// A Protocol is what an address speaks.
type Protocol string

// The protocols, as operators read them.
const (
	STARTTLS    Protocol = "STARTTLS"
	ImplicitTLS Protocol = "implicit TLS"
	HTTPS       Protocol = "HTTPS"
	HTTP        Protocol = "HTTP"

	// From balancers, which begin with a PROXY protocol header.
	BalancedSTARTTLS    Protocol = "STARTTLS, PROXY protocol"
	BalancedImplicitTLS Protocol = "implicit TLS, PROXY protocol"

	// From front-ends, which name the client by XCLIENT.
	XClientSTARTTLS Protocol = "STARTTLS, XCLIENT"
)

// protocols has those for mail first.
var protocols = []Protocol{STARTTLS, ImplicitTLS, BalancedSTARTTLS, BalancedImplicitTLS, XClientSTARTTLS, HTTPS, HTTP}

// ReachedAt returns the address by which this machine reaches what listens at an address; ok is
// false if that is none.
func ReachedAt(address string) (at netip.AddrPort, ok bool) {
	host, port, err := net.SplitHostPort(address)
	number, parsed := strconv.ParseUint(port, 10, 16)
	if err != nil || parsed != nil {
		return at, false
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	ip, err := netip.ParseAddr(host)
	if host == "" || host == "localhost" || err == nil && ip.IsUnspecified() {
		ip, err = loopback, nil
	}
	return netip.AddrPortFrom(ip, uint16(number)), err == nil
}

// Endpoints returns the configured addresses, those for mail first.
func Endpoints(c *config.Config) []Endpoint {
	var all []Endpoint
	for _, list := range []struct {
		setting   string
		addresses []string
		protocol  Protocol
	}{
		{"--listen", c.Listen, STARTTLS},
		{"--listen-tls", c.ListenTLS, ImplicitTLS},
		{"listen in [proxy-protocol]", c.ProxyProtocol.Listen, BalancedSTARTTLS},
		{"listen-tls in [proxy-protocol]", c.ProxyProtocol.ListenTLS, BalancedImplicitTLS},
		{"listen in [xclient]", c.XClient.Listen, XClientSTARTTLS},
		{"listen in [web]", c.Web.Listen, HTTPS},
		{"listen-plain in [web]", c.Web.ListenPlain, HTTP},
	} {
		for _, address := range list.addresses {
			all = append(all, Endpoint{address, list.protocol, list.setting})
		}
	}
	return all
}

// A Listener is an open endpoint. Its Address has the port that the system chose.
type Listener struct {
	net.Listener
	Endpoint
}

// Listen opens all configured addresses or none; those for mail are the first. Sockets that
// systemd passes take the place of the addresses with the same protocol. Its error has a
// method Remedy that says what to do.
func Listen(c *config.Config) ([]Listener, error) {
	passed, err := passedSockets(c)
	if err != nil {
		return nil, err
	}
	open := slices.Clone(passed)
	for _, e := range Endpoints(c) {
		if slices.ContainsFunc(passed, func(l Listener) bool { return l.Protocol == e.Protocol }) {
			continue
		}
		ln, err := net.Listen("tcp", e.Address)
		if err != nil {
			closeAll(open)
			return nil, &listenError{e, err}
		}
		e.Address = ln.Addr().String()
		open = append(open, Listener{ln, e})
	}
	slices.SortStableFunc(open, func(a, b Listener) int {
		return cmp.Compare(slices.Index(protocols, a.Protocol), slices.Index(protocols, b.Protocol))
	})
	return open, nil
}

func closeAll(open []Listener) {
	for _, l := range open {
		l.Close()
	}
}

// serve accepts connections from ln until the server drains.
func (s *Server) serve(ln Listener) error {
	switch ln.Protocol {
	case ImplicitTLS:
		return s.smtp.ServeTLS(ln)
	case BalancedSTARTTLS:
		return s.smtp.Serve(front.NewListener(ln, front.ProxyProtocol, s.config.ProxyProtocol.Trust))
	case BalancedImplicitTLS:
		return s.smtp.ServeTLS(front.NewListener(ln, front.ProxyProtocol, s.config.ProxyProtocol.Trust))
	case XClientSTARTTLS:
		return s.smtp.Serve(front.NewListener(ln, front.XClient, s.config.XClient.Trust))
	case HTTPS:
		return s.web.Serve(ln)
	case HTTP:
		return s.web.ServePlain(ln)
	}
	return s.smtp.Serve(ln)
}

type listenError struct {
	endpoint Endpoint
	err      error
}

func (e *listenError) Error() string {
	return fmt.Sprintf("listening on %s: %v", e.endpoint.Address, withoutAddress(e.err))
}

// withoutAddress removes from an error of listening the address, which is said beside it.
func withoutAddress(err error) error {
	var call *net.OpError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

func (e *listenError) Unwrap() error { return e.err }

// Remedy says what to do about it.
func (e *listenError) Remedy() string {
	setting := e.endpoint.setting
	switch {
	case errors.Is(e.err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(e.endpoint.Address)
		return fmt.Sprintf("find the program that listens there with ss -ltnp 'sport = :%s' and stop it, or set another address with %s", port, setting)
	case errors.Is(e.err, fs.ErrPermission):
		return fmt.Sprintf("ports below 1024 need CAP_NET_BIND_SERVICE, which deploy/postern.service grants, or a socket of systemd, as in deploy/postern.socket; or set a higher port with %s", setting)
	case errors.Is(e.err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("this machine does not have that address; list its addresses with ip address and set one with %s", setting)
	}
	return fmt.Sprintf("set another address with %s", setting)
}
