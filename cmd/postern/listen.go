package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"postern/internal/config"
)

// A listener is one of the configuration's addresses that is open.
type listener struct {
	net.Listener
	protocol protocol
}

// A protocol is what is spoken at an address.
type protocol string

// The protocols, as an operator reads them.
const (
	startTLS    protocol = "STARTTLS"
	implicitTLS protocol = "TLS at once"
	https       protocol = "HTTPS"
	plainHTTP   protocol = "HTTP"
)

// An endpoint is an address of the configuration.
type endpoint struct {
	address  string
	protocol protocol
	setting  string // the flag or key that names it
}

// endpoints are all addresses to listen on, those of mail first.
func endpoints(c *config.Config) []endpoint {
	var all []endpoint
	for _, list := range []struct {
		setting   string
		addresses []string
		protocol  protocol
	}{
		{"--listen", c.Listen, startTLS},
		{"--listen-tls", c.ListenTLS, implicitTLS},
		{"listen in [web]", c.Web.Listen, https},
		{"listen-plain in [web]", c.Web.ListenPlain, plainHTTP},
	} {
		for _, address := range list.addresses {
			all = append(all, endpoint{address, list.protocol, list.setting})
		}
	}
	return all
}

// listen opens all addresses or none.
func listen(c *config.Config) ([]listener, error) {
	var open []listener
	for _, e := range endpoints(c) {
		ln, err := net.Listen("tcp", e.address)
		if err != nil {
			for _, l := range open {
				l.Close()
			}
			return nil, cannotListen(e, err)
		}
		open = append(open, listener{ln, e.protocol})
	}
	return open, nil
}

// serve takes connections from ln until the service drains.
func (s *service) serve(ln listener) error {
	switch ln.protocol {
	case implicitTLS:
		return s.server.ServeTLS(ln)
	case https:
		return s.web.Serve(ln)
	case plainHTTP:
		return s.web.ServePlain(ln)
	}
	return s.server.Serve(ln)
}

func cannotListen(e endpoint, err error) error {
	var hint string
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(e.address)
		hint = fmt.Sprintf("ss -ltnp 'sport = :%s' shows which program listens there; stop it, or give another address by %s", port, e.setting)
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("ports below 1024 need the right CAP_NET_BIND_SERVICE: deploy/postern.service gives it; else give a higher port by %s", e.setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = fmt.Sprintf("this machine has no such address, ip address lists those it has; give one by %s", e.setting)
	default:
		hint = fmt.Sprintf("give another address by %s", e.setting)
	}
	var call *net.OpError
	if errors.As(err, &call) {
		err = call.Err // the rest of it is the address once more
	}
	return &hintedError{fmt.Errorf("listening on %s: %w", e.address, err), hint}
}
