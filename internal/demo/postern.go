package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"postern/internal/config"
	"postern/internal/dashboard"
	"postern/internal/durable"
	"postern/internal/probe"
	"postern/internal/server"
	"postern/internal/testcert"
)

// A postern is a running server.
type postern struct {
	*entrance
	config *config.Config
	server *server.Server
	smtp   string
	stop   chan os.Signal
	ended  chan error
	cancel context.CancelFunc
}

// config returns the configuration of a Postern in mode stock: the mode in which a server on
// crypto/tls sends its session tickets, so that there is something to fall back from.
func (w *world) config(data string, cert *testcert.Pair, dashboard string) func() (*config.Config, error) {
	return func() (*config.Config, error) {
		if err := durable.MkdirAll(data, 0o700); err != nil {
			return nil, err
		}
		file := filepath.Join(data, "postern.toml")
		err := os.WriteFile(file, fmt.Appendf(nil, `# The configuration of the demo.
hostname = %q
domains = [%q, %q]
recipients = [%q]
listen = ["127.0.0.1:0"]
data = %q
mode = "stock"

[[certificate]]
cert = %q
key = %q

[dashboard]
listen = %q

[metrics]
listen = "off"

[reports]
addresses = [%q]
delivery = "only"
resolver = %q
`, hostname, domain, otherDomain, recipient, data, cert.CertFile, cert.KeyFile, dashboard, reportAddress, w.resolver), 0o600)
		if err != nil {
			return nil, err
		}
		return config.Load(file, config.Flags{}, nil)
	}
}

// start starts a server. Its checks of itself are of what the demo's DNS says.
func (w *world) start(load func() (*config.Config, error), log *slog.Logger) (*postern, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	srv, err := server.New(c, log, new(slog.LevelVar))
	if err != nil {
		return nil, err
	}
	listeners, err := server.Listen(c)
	if err != nil {
		srv.Close()
		return nil, err
	}
	port := listeners[0].Addr().(*net.TCPAddr).AddrPort().Port()
	srv.CheckPublished(probe.Prober{Resolver: w.resolver, Port: port, RootCAs: w.valid.Pool})
	p := &postern{
		entrance: newEntrance(), config: c, server: srv, smtp: listeners[0].Addr().String(),
		stop: make(chan os.Signal, 1), ended: make(chan error, 1),
	}
	listeners = append(listeners, server.Listener{Listener: p.entrance, Endpoint: server.Endpoint{Address: "the senders", Protocol: server.STARTTLS}})
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	srv.Start(ctx, listeners)
	go func() { p.ended <- srv.Run(load, p.stop, nil) }()
	return p, nil
}

// close stops the server when its sessions have ended.
func (p *postern) close() error {
	p.stop <- syscall.SIGTERM
	err := <-p.ended
	p.entrance.Close()
	p.cancel()
	p.server.Close()
	return err
}

// login returns a link to the dashboard, as postern dashboard prints it.
func (p *postern) login(now time.Time) (string, error) {
	login, err := dashboard.ReadLogin(config.LoginFile(p.config.Data))
	if err != nil {
		return "", err
	}
	return login.Link(now), nil
}

// freeAddress returns an address, or one with a port that the system chooses if it is taken.
func freeAddress(address string) string {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return address
}
