package server

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"

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
	pages *dashboard.Dashboard
	url   string     // by which browsers reach it
	login string     // the file of the login links
	own   *plainHTTP // on an address of its own; nil: none
	log   *slog.Logger
}

// openDashboard listens for the dashboard, and writes the file by which postern dashboard
// prints login links. It returns nil if the dashboard is off, or cannot be had: mail does not
// wait for it.
func openDashboard(c *config.Config, scrape http.Handler, checks *selfcheck.Runner, log *slog.Logger) *dashboardServer {
	d := &dashboardServer{url: cmp.Or(c.Dashboard.URL, c.HTTPS()), login: config.LoginFile(c.Data), log: log}
	var ln net.Listener
	if c.Dashboard.Listen != config.Off {
		var err error
		if ln, err = net.Listen("tcp", c.Dashboard.Listen); err != nil {
			log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, withoutAddress(err),
				logkey.Remedy, `set another address with listen in [dashboard], or "off"`)
		} else {
			d.url = cmp.Or(d.url, "http://"+ln.Addr().String()+"/")
		}
	}
	if ln == nil && c.Dashboard.Host == "" {
		return nil
	}
	key := dashboard.NewKey()
	content, err := json.Marshal(dashboard.Login{URL: d.url, Key: key})
	if err == nil {
		err = durable.WriteFile(d.login, append(content, '\n'), 0o600)
	}
	if err != nil {
		if ln != nil {
			ln.Close()
		}
		log.Warn("no dashboard", logkey.Address, c.Dashboard.Listen, logkey.Err, err,
			logkey.Remedy, config.WriteRemedy(err, c.Data))
		return nil
	}
	d.pages = dashboard.New(dashboard.Settings{
		Hostname: c.Hostname, Ledger: config.LedgerFile(c.Data), Key: key, Access: c.Dashboard, Log: log,
		Metrics: scrape, Checks: checks, Fleet: nameInFleet(c),
	})
	if ln != nil {
		d.own = newPlainHTTP(ln, dashboard.MaxConnections, d.pages, log)
	}
	return d
}

func (d *dashboardServer) serve() {
	if d == nil || d.own == nil {
		return
	}
	if err := d.own.serve(); err != nil {
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
	if d == nil {
		return
	}
	os.Remove(d.login)
	if d.own != nil {
		d.own.close()
	}
	d.pages.Close()
}

// DashboardURL returns the URL of the dashboard, or nothing if there is none.
func (s *Server) DashboardURL() string {
	if s.dashboard == nil {
		return ""
	}
	return s.dashboard.url
}
