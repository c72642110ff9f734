package clientsim

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"runtime"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// goServers are go-smtp as it is, behind the gate, and as its users helped themselves in
// October 2024.
func goServers() []*server {
	servers := []*server{goServer("go-smtp as it is", func(*tls.Config) *sessionticket.Gate { return nil })}
	for _, policy := range []sessionticket.Policy{
		sessionticket.FirstWrite, sessionticket.OwnWrite, sessionticket.Never, sessionticket.Stock,
	} {
		servers = append(servers, goServer("go-smtp, gate "+policy.String(), func(*tls.Config) *sessionticket.Gate {
			return &sessionticket.Gate{Policy: policy}
		}))
	}
	return append(servers, goServer("go-smtp, tickets off", func(config *tls.Config) *sessionticket.Gate {
		config.SessionTicketsDisabled = true
		return nil
	}))
}

// goServer is a go-smtp; prepare changes its configuration or puts a gate before it.
func goServer(name string, prepare func(*tls.Config) *sessionticket.Gate) *server {
	return &server{
		Server: Server{Name: name, Version: runtime.Version()},
		start: func(t *testpeer.Stage, cert *testcert.Pair) string {
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

// serve serves until the part ends.
func serve(t *testpeer.Stage, listener net.Listener, config *tls.Config) {
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
		_ = listener.Close() // Close does not know it before Serve has begun
		<-served
	})
}

// noMail is a session that takes no mail: nobody brings any.
type noMail struct{}

var errNoMail = errors.New("this server takes no mail")

func (noMail) Mail(string, *smtp.MailOptions) error { return errNoMail }
func (noMail) Rcpt(string, *smtp.RcptOptions) error { return errNoMail }
func (noMail) Data(io.Reader) error                 { return errNoMail }
func (noMail) Reset()                               {}
func (noMail) Logout() error                        { return nil }
