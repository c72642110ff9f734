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
	implicit bool // TLS from the first byte
}

// listen opens all addresses or none.
func listen(c *config.Config) ([]listener, error) {
	var open []listener
	for _, list := range []struct {
		flag      string
		addresses []string
		implicit  bool
	}{{"--listen", c.Listen, false}, {"--listen-tls", c.ListenTLS, true}} {
		for _, address := range list.addresses {
			ln, err := net.Listen("tcp", address)
			if err != nil {
				for _, l := range open {
					l.Close()
				}
				return nil, cannotListen(address, list.flag, err)
			}
			open = append(open, listener{ln, list.implicit})
		}
	}
	return open, nil
}

func cannotListen(address, flag string, err error) error {
	var hint string
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		hint = fmt.Sprintf("ss -ltnp 'sport = :%s' shows which program listens there; stop it, or give another address by %s", port, flag)
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("ports below 1024 need the right CAP_NET_BIND_SERVICE: deploy/postern.service gives it; else give a higher port by %s", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = fmt.Sprintf("this machine has no such address, ip address lists those it has; give one by %s", flag)
	default:
		hint = fmt.Sprintf("give another address by %s", flag)
	}
	var call *net.OpError
	if errors.As(err, &call) {
		err = call.Err // the rest of it is the address once more
	}
	return &hintedError{fmt.Errorf("listening on %s: %w", address, err), hint}
}
