package server

import (
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"

	"postern/internal/config"
)

// socketNames are the names of the sockets that systemd passes (FileDescriptorName= in a
// socket unit), with what they speak.
var socketNames = map[string]Protocol{
	"smtp": STARTTLS, "smtps": ImplicitTLS, "https": HTTPS, "http": HTTP,
	"smtp-proxy": BalancedSTARTTLS, "smtps-proxy": BalancedImplicitTLS, "smtp-xclient": XClientSTARTTLS,
}

// passedSockets returns the sockets that systemd has opened for this process
// (sd_listen_fds(3)). They stay open when it ends, so that connections wait there for the
// next one.
func passedSockets(c *config.Config) ([]Listener, error) {
	var open []Listener
	for _, file := range activation.Files(true) {
		ln, err := passedSocket(file, c)
		if err != nil {
			closeAll(open)
			return nil, err
		}
		open = append(open, ln)
	}
	return open, nil
}

func passedSocket(file *os.File, c *config.Config) (Listener, error) {
	defer file.Close() // the listener has a descriptor of its own
	protocol, ok := socketNames[file.Name()]
	if !ok {
		return Listener{}, &socketError{file.Name(), "has an unknown name",
			"set FileDescriptorName= in its socket unit to smtp, smtps (implicit TLS), smtp-proxy or smtps-proxy (PROXY protocol), smtp-xclient, https or http"}
	}
	if table := untrusting(protocol, c); table != "" {
		return Listener{}, &socketError{file.Name(), "trusts no front-end, so every connection would be refused",
			fmt.Sprintf("list the addresses from which they connect in trust below [%s]", table)}
	}
	ln, err := net.FileListener(file)
	if err != nil {
		return Listener{}, &socketError{file.Name(), fmt.Sprintf("is no listening socket: %v", err),
			"use ListenStream= and Accept=no in its socket unit"}
	}
	if _, ok := ln.(*net.TCPListener); !ok {
		ln.Close()
		return Listener{}, &socketError{file.Name(), fmt.Sprintf("listens on %s, which is no TCP port", ln.Addr()),
			"set ListenStream= in its socket unit to a port, or to an IP address and a port"}
	}
	return Listener{ln, Endpoint{Address: ln.Addr().String(), Protocol: protocol}}, nil
}

// untrusting returns the table of the configuration that should say who the front-ends are, if the
// protocol needs that and it does not.
func untrusting(protocol Protocol, c *config.Config) (table string) {
	switch {
	case (protocol == BalancedSTARTTLS || protocol == BalancedImplicitTLS) && len(c.ProxyProtocol.Trust) == 0:
		return "proxy-protocol"
	case protocol == XClientSTARTTLS && len(c.XClient.Trust) == 0:
		return "xclient"
	}
	return ""
}

// A socketError is a socket of systemd that cannot be used.
type socketError struct{ name, problem, remedy string }

func (e *socketError) Error() string {
	return fmt.Sprintf("socket %s, passed by systemd, %s", e.name, e.problem)
}

// Remedy says what to do about it.
func (e *socketError) Remedy() string { return e.remedy }
