// Package dashboard is the web page of a server: who cannot deliver, since when, why, and
// what to do.
//
//	pages, err := dashboard.New(dashboard.Settings{...})
//	http.Serve(listener, pages)
//
// Pages are HTML made on the server, and complete without JavaScript. Each page has a
// permanent link with its time range, and with format=json the objects of docs/json.md.
//
// # Access
//
// Every page needs a login; see access.go. All that pages show comes from strangers:
// html/template escapes it, and the Content-Security-Policy allows no inline script or style.
//
// # Concurrency
//
// A Dashboard is safe for concurrent use. It reads the ledger as any other process would, so
// mail never waits for it.
package dashboard

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/internal/selfcheck"
)

// Settings are what a dashboard shows, and who may see it.
type Settings struct {
	Hostname string // of the server
	Ledger   string // path of its file
	Key      Key    // of login links
	Access   config.Dashboard
	Metrics  http.Handler // for operators; nil: none
	Log      *slog.Logger

	// Checks are the server's checks of itself; nil if it makes none.
	Checks *selfcheck.Runner

	// Fleet is the server's name in its fleet, of which pages show all hosts. It is empty if the
	// server is alone.
	Fleet string
}

// MaxConnections is how many connections an address of the dashboard's own has at most, and so
// descriptors. An open page keeps one for its updates.
const MaxConnections = 300

// A Dashboard answers the requests for its pages.
type Dashboard struct {
	Settings
	access *access
	// attempts bounds logins by password, and counts those over the bound.
	attempts  *admission.Tally
	proxyHost string // that browsers use, through a reverse proxy; empty: none

	updates    context.Context // of open pages
	endUpdates context.CancelFunc

	changes *changes
	views   views
	making  atOnce
	handler http.Handler

	opening sync.Mutex
	book    *ledger.Reader // nil until the ledger exists
}

// New returns a dashboard.
func New(s Settings) *Dashboard {
	d := &Dashboard{Settings: s, access: newAccess(s.Key), proxyHost: proxyHostOf(s.Access), making: newAtOnce()}
	d.updates, d.endUpdates = context.WithCancel(context.Background())
	d.attempts = admission.NewTally(loginRate, d.countRefused)
	d.changes = &changes{latest: d.latest}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{hash}/{name}", serveAsset)
	mux.HandleFunc("GET /login", d.loginByLink)
	mux.HandleFunc("POST /login", d.loginByPassword)
	mux.Handle("POST /sessions/end", d.signedIn(viewer, http.HandlerFunc(d.endOthers)))
	mux.Handle("POST /logout", d.signedIn(viewer, http.HandlerFunc(d.logout)))
	mux.Handle("POST /checks", d.signedIn(operator, http.HandlerFunc(d.startCheck)))
	mux.Handle("GET /live", d.signedIn(viewer, http.HandlerFunc(d.live)))
	if s.Metrics != nil {
		mux.Handle("GET /metrics", d.signedIn(operator, s.Metrics))
	}
	mux.Handle("POST /senders/pin", d.signedIn(operator, d.action(d.pin)))
	mux.Handle("POST /senders/unpin", d.signedIn(operator, d.action(d.unpin)))
	for pattern, load := range map[string]loader{
		"/{$}":                                  d.during("24h", d.overview),
		"/senders":                              d.during("24h", d.senders),
		"/senders/{network...}":                 d.during("7d", d.sender),
		"/handshakes":                           d.during("24h", d.handshakes),
		"/handshakes/{session}":                 d.reading(d.handshake),
		"/handshakes/{session}/account":         d.reading(d.account),
		"/handshakes/{session}/transcript":      d.reading(d.transcript),
		"/refusals":                             d.during("24h", d.refusals),
		"/reports":                              d.during("7d", d.reports),
		"/reports/{report}":                     d.reading(d.report),
		"/simulation":                           d.reading(d.simulation),
		"/simulation/{host}/{address}/{client}": d.reading(d.simulatedRun),
		"/domains":                              d.reading(d.domainAreas),
		"/domains/{domain}":                     d.reading(d.domain),
		"/fallback":                             d.during("7d", d.fallback),
		"/fleet":                                d.reading(d.fleetHosts),
		"/alerts":                               d.during("7d", d.alerts),
		"/sessions":                             d.sessions,
	} {
		mux.Handle("GET "+pattern, d.signedIn(viewer, d.page(load)))
	}
	mux.Handle("POST /alerts/{alert}/acknowledge", d.signedIn(operator, d.action(d.acknowledgeAlert)))
	mux.Handle("GET /", d.signedIn(viewer, d.page(notFound)))
	d.handler = d.harden(d.reached(http.NewCrossOriginProtection().Handler(mux)))
	return d
}

// ServeHTTP answers a request.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// EndUpdates ends the updates of open pages, now and from now on. Their browsers ask again after
// two seconds.
func (d *Dashboard) EndUpdates() { d.endUpdates() }

// Close closes the ledger.
func (d *Dashboard) Close() error {
	d.endUpdates()
	d.attempts.Report()
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.book == nil {
		return nil
	}
	return d.book.Close()
}

// reader returns the open ledger. The error wraps [ledger.ErrNoLedger] before there is one.
func (d *Dashboard) reader() (*ledger.Reader, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.book != nil {
		return d.book, nil
	}
	book, err := ledger.OpenReader(d.Ledger)
	if err == nil {
		d.book = book
	}
	return book, err
}

// domains are those that mail is accepted for, nil if they are not known.
func (d *Dashboard) domains() []string {
	if d.Checks == nil {
		return nil
	}
	return d.Checks.Settings().Domains
}

// harden sets the headers that keep a page to itself: nothing from elsewhere in it, it in
// nothing else, and no copy of it left in a cache.
func (d *Dashboard) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// A statusError is an error with the HTTP status for it.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// statusOf returns the status for an error, and what a person reads of it.
func statusOf(err error) (status int, text string) {
	var known *statusError
	switch {
	case errors.As(err, &known):
		return known.status, known.text
	case errors.Is(err, ledger.ErrNoLedger):
		return http.StatusServiceUnavailable, "There is no ledger yet. It is created when the server starts to store what senders did."
	}
	reason, _, _ := strings.Cut(err.Error(), "\n") // of a panic, the log has the stack too
	return http.StatusInternalServerError, "The page could not be made: " + safetext.Printable(reason)
}

// writeJSON writes values as JSON Lines, as the commands do, or a single value as it is.
func writeJSON(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	encoder := json.NewEncoder(w)
	lines, ok := value.(lines)
	if !ok {
		return encoder.Encode(value)
	}
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// lines are values of which JSON has one a line.
type lines []any

func linesOf[T, O any](all []T, object func(T) O) lines {
	out := make(lines, 0, len(all))
	for _, one := range all {
		out = append(out, object(one))
	}
	return out
}

//go:embed static templates
var files embed.FS

func (d *Dashboard) fail(r *http.Request, err error) {
	if r.Context().Err() == nil {
		d.Log.Error("cannot make page", logkey.Path, r.URL.Path, logkey.Err, err)
	}
}

// now is replaced by tests.
func (d *Dashboard) now() time.Time { return time.Now() }
