package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"postern/internal/config"
	"postern/internal/dashboard"
	"postern/internal/durable"
	"postern/internal/logkey"
)

// A dashboardServer serves the dashboard on an address of its own.
type dashboardServer struct {
	listener net.Listener
	pages    *dashboard.Dashboard
	login    string // the file of the login links
	http     *http.Server
	log      *slog.Logger
}

// openDashboard listens for the dashboard, and writes the file by which postern dashboard
// prints login links. It returns nil if the dashboard is off, or cannot be had: mail does not
// wait for it.
func openDashboard(c *config.Config, scrape http.Handler, log *slog.Logger) *dashboardServer {
	if c.Dashboard.Listen == config.Off {
		return nil
	}
	ln, err := net.Listen("tcp", c.Dashboard.Listen)
	if err != nil {
		log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, withoutAddress(err),
			logkey.Remedy, `set another address with listen in [dashboard], or "off"`)
		return nil
	}
	login := dashboard.Login{URL: "http://" + ln.Addr().String() + "/", Key: dashboard.NewKey()}
	content, err := json.Marshal(login)
	if err == nil {
		err = durable.WriteFile(config.LoginFile(c.Data), append(content, '\n'), 0o600)
	}
	if err != nil {
		ln.Close()
		log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, err,
			logkey.Remedy, config.WriteRemedy(err, c.Data))
		return nil
	}
	pages := dashboard.New(dashboard.Settings{
		Hostname: c.Hostname, Ledger: config.LedgerFile(c.Data), Key: login.Key, Log: log,
		Metrics: scrape,
		Domains: func() []string { return c.Domains },
	})
	return &dashboardServer{ln, pages, config.LoginFile(c.Data), &http.Server{
		Handler: pages, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}, log}
}

func (d *dashboardServer) serve() {
	if err := d.http.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		d.log.Warn("dashboard stopped", logkey.Err, err)
	}
}

// close closes the dashboard at once: its pages load again.
func (d *dashboardServer) close() {
	if d != nil {
		os.Remove(d.login)
		d.http.Close()
		d.pages.Close()
	}
}

// DashboardURL returns the URL of the dashboard, or nothing if there is none.
func (s *Server) DashboardURL() string {
	if s.dashboard == nil {
		return ""
	}
	return "http://" + s.dashboard.listener.Addr().String() + "/"
}
