package clientsim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// A server is a column and how it starts.
type server struct {
	Server
	find  func(program string) (path string, err error) // finds its programs; nil: it has none
	start func(*testpeer.Scope, *testcert.Pair) (addr string)
}

// goServers are go-smtp unmodified, over the gate, and without tickets, which was its users'
// workaround in October 2024.
func goServers() []*server {
	servers := []*server{goServer("go-smtp, unmodified", func(*tls.Config) *sessionticket.Gate { return nil })}
	for _, mode := range []sessionticket.Mode{
		sessionticket.OwnWrite, sessionticket.FirstWrite, sessionticket.NoTicket, sessionticket.Stock,
	} {
		servers = append(servers, goServer("go-smtp, gate "+mode.String(), func(*tls.Config) *sessionticket.Gate {
			return &sessionticket.Gate{Mode: mode}
		}))
	}
	return append(servers, goServer("go-smtp, tickets off", func(config *tls.Config) *sessionticket.Gate {
		config.SessionTicketsDisabled = true
		return nil
	}))
}

// goServer is a go-smtp server; prepare changes its configuration or returns a gate for it.
func goServer(name string, prepare func(*tls.Config) *sessionticket.Gate) *server {
	return &server{
		Server: Server{Name: name, Version: runtime.Version()},
		start: func(t *testpeer.Scope, cert *testcert.Pair) string {
			config := &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
			listener, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatalf("%v", err)
			}
			addr := listener.Addr().String()
			if gate := prepare(config); gate != nil {
				listener, config = gate.Listener(listener), gate.Config(config)
			}
			serve(t, listener, config)
			return addr
		},
	}
}

// serve serves until the scope ends.
func serve(t *testpeer.Scope, listener net.Listener, config *tls.Config) {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return noMail{}, nil }))
	s.Domain, s.TLSConfig = "localhost", config
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	s.ErrorLog = log.New(io.Discard, "", 0)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		_ = listener.Close() // if Serve has not started, s.Close does not close it
		<-served
	})
}

// noMail is a session that accepts no mail: the clients send none.
type noMail struct{}

var errNoMail = errors.New("this server accepts no mail")

func (noMail) Mail(string, *smtp.MailOptions) error { return errNoMail }
func (noMail) Rcpt(string, *smtp.RcptOptions) error { return errNoMail }
func (noMail) Data(io.Reader) error                 { return errNoMail }
func (noMail) Reset()                               {}
func (noMail) Logout() error                        { return nil }

// A peer is a kind of real server.
type peer struct {
	name    string
	program string
	named   bool     // its programs are called PROGRAM-VERSION
	root    bool     // starts only as root
	version []string // else: the arguments that print its version, or another program with its arguments
	start   func(t testpeer.T, version string, cert *testcert.Pair) (addr string)
}

var peers = []peer{
	{name: "mox", program: "mox", named: true, start: testpeer.StartMox},
	{name: "maddy", program: "maddy", named: true, start: testpeer.StartMaddy},
	{name: "chasquid", program: "chasquid", version: []string{"-version"}, start: func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartChasquid(t, cert)
	}},
	{name: "Exim", program: "exim4", version: []string{"-bV"}, start: func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartExim(t, cert)
	}},
	{name: "Exim, tls_resumption_hosts", program: "exim4", version: []string{"-bV"}, start: func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartExim(t, cert, "tls_resumption_hosts = *")
	}},
	{name: "Postfix", program: "master", root: true, version: []string{"postconf", "-h", "mail_version"}, start: func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert}).Addr
	}},
	{name: "OpenSMTPD", program: "smtpd", root: true, version: []string{"-h"}, start: testpeer.StartOpenSMTPD},
	{name: "nginx mail proxy", program: "nginx", version: []string{"-v"}, start: func(t testpeer.T, _ string, cert *testcert.Pair) string {
		// No client reaches the server behind it.
		return testpeer.StartNginx(t, testpeer.NginxOptions{Backend: "127.0.0.1:1", Cert: cert})
	}},
}

// servers returns the real servers that are found and can be started, and those that are
// missing.
func (p programs) servers(ctx context.Context) (found []*server, missing []Missing) {
	for _, kind := range peers {
		paths := p.all(kind.program)
		if kind.named {
			paths = p.versions(kind.program)
		}
		switch {
		case paths == nil:
			missing = append(missing, Missing{Name: kind.name, Why: "not found"})
		case kind.root && os.Geteuid() != 0:
			missing = append(missing, Missing{Name: kind.name, Why: "needs root"})
		default:
			for _, path := range paths {
				found = append(found, kind.server(path, p.versionOf(ctx, kind, path)))
			}
		}
	}
	return found, missing
}

func (p programs) versionOf(ctx context.Context, kind peer, path string) string {
	switch {
	case kind.named:
		return strings.TrimPrefix(filepath.Base(path), kind.program+"-")
	case strings.HasPrefix(kind.version[0], "-"):
		return version(ctx, path, kind.version...)
	}
	program, err := p.find(kind.version[0])
	if err != nil {
		return ""
	}
	return version(ctx, program, kind.version[1:]...)
}

// server returns the server whose program is at path. It needs no other program.
func (kind peer) server(path, version string) *server {
	return &server{
		Server: Server{Name: kind.name, Version: version},
		find:   func(string) (string, error) { return path, nil },
		start: func(t *testpeer.Scope, cert *testcert.Pair) string {
			return kind.start(t, version, cert)
		},
	}
}
