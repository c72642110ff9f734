package server

import (
	"cmp"
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
	"postern/internal/selfcheck"
	"postern/internal/web"
)

// A dashboardServer serves the dashboard, on an address of its own if it has one. The web
// listener may serve it too.
type dashboardServer struct {
	pages    *dashboard.Dashboard
	url      string       // by which browsers reach it
	login    string       // the file of the login links
	listener net.Listener // nil: none
	http     *http.Server
	log      *slog.Logger
}

// openDashboard listens for the dashboard, and writes the file by which postern dashboard
// prints login links. It returns nil if the dashboard is off, or cannot be had: mail does not
// wait for it.
func openDashboard(c *config.Config, scrape http.Handler, checks *selfcheck.Runner, log *slog.Logger) *dashboardServer {
	d := &dashboardServer{url: cmp.Or(c.Dashboard.URL, c.HTTPS()), login: config.LoginFile(c.Data), log: log}
	if c.Dashboard.Listen != config.Off {
		ln, err := net.Listen("tcp", c.Dashboard.Listen)
		if err != nil {
			log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, withoutAddress(err),
				logkey.Remedy, `set another address with listen in [dashboard], or "off"`)
		} else {
			d.listener, d.url = ln, cmp.Or(d.url, "http://"+ln.Addr().String()+"/")
		}
	}
	if d.listener == nil && c.Dashboard.Host == "" {
		return nil
	}
	key := dashboard.NewKey()
	content, err := json.Marshal(dashboard.Login{URL: d.url, Key: key})
	if err == nil {
		err = durable.WriteFile(d.login, append(content, '\n'), 0o600)
	}
	if err != nil {
		if d.listener != nil {
			d.listener.Close()
		}
		log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, err,
			logkey.Remedy, config.WriteRemedy(err, c.Data))
		return nil
	}
	d.pages = dashboard.New(dashboard.Settings{
		Hostname: c.Hostname, Ledger: config.LedgerFile(c.Data), Key: key, Access: c.Dashboard, Log: log,
		Metrics: scrape, Checks: checks,
	})
	d.http = &http.Server{
		Handler: d.pages, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return d
}

func (d *dashboardServer) serve() {
	if d == nil || d.listener == nil {
		return
	}
	if err := d.http.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		d.log.Warn("dashboard stopped", logkey.Err, err)
	}
}

// routes are those of the web listener.
func (d *dashboardServer) routes(host string) []web.Route {
	if d == nil || host == "" {
		return nil
	}
	return []web.Route{{Pattern: host + "/", MaxBody: dashboard.MaxForm, Handler: d.pages}}
}

// drain ends the updates of open pages, which would last as long as the pages.
func (d *dashboardServer) drain() {
	if d != nil {
		d.pages.EndUpdates()
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
	return s.dashboard.url
}
