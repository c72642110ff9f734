package dashboard

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/tlsrptexplain"
)

// A view is a page before it is written.
type view struct {
	Template string // name of its file, without .html
	Title    string
	Data     any      // of the template
	JSON     any      // its JSON twin
	Live     bool     // its content changes with the ledger; it is the same for all of a role
	Span     *span    // the time that it is about; nil: none
	Hosts    []string // of the fleet, to choose one; nil: the server is alone

	Mark   ledger.Mark // of the ledger before it was read; set by viewOf
	shared sharedPage  // of a live view

	File *file // answered in place of all this
}

// A file is what a browser stores.
type file struct {
	Name, Type string
	Content    []byte
}

func (f *file) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", f.Type)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	w.Write(f.Content)
}

// A loader makes the view that a request asks for.
type loader func(*http.Request) (*view, error)

// reading is the loader of a page about the ledger.
func (d *Dashboard) reading(load func(*http.Request, *ledger.Reader) (*view, error)) loader {
	return func(r *http.Request) (*view, error) {
		book, err := d.reader()
		if err != nil {
			return nil, err
		}
		return load(r, book)
	}
}

// during is the loader of a page about a span, the last one of that name unless the request
// says which.
func (d *Dashboard) during(last string, load func(*http.Request, *ledger.Reader, span) (*view, error)) loader {
	return d.reading(func(r *http.Request, book *ledger.Reader) (*view, error) {
		of, err := spanOf(r, d.now(), last)
		if err != nil {
			return nil, err
		}
		v, err := load(r, book, of)
		if err != nil {
			return nil, err
		}
		v.Span = &of
		if d.Fleet != "" {
			v.Hosts, err = book.Hosts(r.Context())
		}
		return v, err
	})
}

// A layout is what every page shows around its view.
type layout struct {
	*view
	Hostname string
	Path     string // of the request, for the navigation
	Span     span
	Session  *session // nil before the login
	Sections []section
	JSONLink string
	Now      time.Time
}

// A section is an entry of the navigation.
type section struct{ Path, Name string }

var sections = []section{
	{"/", "Overview"},
	{"/senders", "Senders"},
	{"/handshakes", "Handshakes"},
	{"/refusals", "Refusals"},
	{"/reports", "Reports"},
	{"/simulation", "Simulation"},
	{"/domains", "Domains"},
	{"/fallback", "Fallback"},
	{fleetPage, "Fleet"},
	{"/alerts", "Alerts"},
}

// sections are those that the server has pages for.
func (d *Dashboard) sections() []section {
	return slices.DeleteFunc(slices.Clone(sections), func(s section) bool { return s.Path == fleetPage && d.Fleet == "" })
}

// Current reports whether the section has the page.
func (s section) Current(page string) bool {
	return page == s.Path || s.Path != "/" && strings.HasPrefix(page, s.Path+"/")
}

// page answers with the view of load, as HTML or as JSON.
func (d *Dashboard) page(load loader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v *view
		var err error
		if !d.making.do(r.Context(), func() { v, err = d.viewOf(r, load) }) {
			return
		}
		status := http.StatusOK
		if err != nil {
			status, v = d.errorView(r, err)
		}
		if v.File != nil {
			v.File.write(w)
			return
		}
		if asksJSON(r) {
			if status != http.StatusOK {
				w.WriteHeader(status)
			}
			writeJSON(w, v.JSON)
			return
		}
		d.render(w, r, status, v)
	})
}

// action answers a form with what do writes, or with the page of its error.
func (d *Dashboard) action(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			status, v := d.errorView(r, err)
			d.render(w, r, status, v)
		}
	})
}

// errorView returns the page of an error, with its status.
func (d *Dashboard) errorView(r *http.Request, err error) (int, *view) {
	status, text := statusOf(err)
	if status == http.StatusInternalServerError {
		d.fail(r, err)
	}
	return status, &view{Template: "error", Title: http.StatusText(status), Data: text, JSON: map[string]string{"error": text}}
}

// asksJSON reports whether a request is for the JSON twin of a page.
func asksJSON(r *http.Request) bool { return r.FormValue("format") == "json" }

// render writes a view in the layout of all pages.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, v *view) {
	var html []byte
	var err error
	if !d.making.do(r.Context(), func() { html, err = d.html(r, v) }) {
		return
	}
	if err != nil {
		d.fail(r, err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(html)
}

// html returns a view in the layout, for the session of a request.
func (d *Dashboard) html(r *http.Request, v *view) ([]byte, error) {
	if !v.Live {
		return d.execute(r, v, sessionOf(r))
	}
	return v.shared.of(sessionOf(r), func(anyone *session) ([]byte, error) { return d.execute(r, v, anyone) })
}

// execute executes the template of a view.
func (d *Dashboard) execute(r *http.Request, v *view, as *session) ([]byte, error) {
	var of span
	if v.Span != nil {
		of = *v.Span
	}
	page := layout{
		view: v, Hostname: d.Hostname, Path: r.URL.Path, Span: of, Session: as, Sections: d.sections(),
		JSONLink: withQuery(r, "format", "json"), Now: d.now(),
	}
	var out bytes.Buffer
	err := pages[v.Template].ExecuteTemplate(&out, "layout.html", page)
	return out.Bytes(), err
}

func notFound(*http.Request) (*view, error) {
	return nil, &statusError{http.StatusNotFound, "There is no such page."}
}

// withQuery returns the link of r with a parameter set.
func withQuery(r *http.Request, name, value string) string {
	query := r.URL.Query()
	query.Set(name, value)
	return r.URL.Path + "?" + query.Encode()
}

// A span is the time that a page is about: the last hours or days, or from one time to
// another; at all hosts of the fleet, or at one.
type span struct {
	From, To time.Time
	Last     string // "24h", "7d", "90d"; empty if From and To were given
	Host     string // empty: all hosts
}

// lasts are the spans to choose from.
var lasts = []struct {
	Name string
	Long time.Duration
}{
	{"24h", 24 * time.Hour},
	{"7d", 7 * 24 * time.Hour},
	{"90d", 90 * 24 * time.Hour},
}

// spanOf returns the span that a request is about: last=7d, or from= and to= in RFC 3339, else
// the last one of a name, and host=mx1.
func spanOf(r *http.Request, now time.Time, last string) (span, error) {
	from, to, host := r.FormValue("from"), r.FormValue("to"), r.FormValue("host")
	if from != "" && to != "" {
		start, notStart := time.Parse(time.RFC3339, from)
		end, notEnd := time.Parse(time.RFC3339, to)
		if notStart != nil || notEnd != nil || !start.Before(end) {
			return span{}, &statusError{http.StatusBadRequest, "from and to are times such as 2026-11-24T15:04:05Z, the earlier one first."}
		}
		return span{From: start, To: end, Host: host}, nil
	}
	last = cmp.Or(r.FormValue("last"), last)
	for _, one := range lasts {
		if one.Name == last {
			return span{now.Add(-one.Long), now, one.Name, host}, nil
		}
	}
	return span{}, &statusError{http.StatusBadRequest, "last is 24h, 7d or 90d."}
}

// Query is the span as parameters of a link. It stays the same tomorrow.
func (s span) Query() template.URL {
	query := url.Values{"from": {s.From.UTC().Format(time.RFC3339)}, "to": {s.To.UTC().Format(time.RFC3339)}}
	if s.Host != "" {
		query.Set("host", s.Host)
	}
	return template.URL(query.Encode())
}

// inLedger is the span as the ledger takes it.
func (s span) inLedger() ledger.Span { return ledger.Span{From: s.From, To: s.To, Host: s.Host} }

// String is the span in words.
func (s span) String() string {
	text := stamp(s.From) + " to " + stamp(s.To)
	switch s.Last {
	case "24h":
		text = "the last 24 hours"
	case "7d":
		text = "the last 7 days"
	case "90d":
		text = "the last 90 days"
	}
	if s.Host != "" {
		text += " at " + safetext.Shorten(s.Host, 60)
	}
	return text
}

// stamp is a time as pages show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

var functions = template.FuncMap{
	"asset": asset,
	"stamp": stamp,
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"lasts": func() any { return lasts },

	// What parts with forms need of the page.
	"journalOf": func(page layout, entries []journalEntry) any {
		return struct {
			Session *session
			Hosts   []string
			Entries []journalEntry
		}{page.Session, page.Hosts, entries}
	},
	"pinOf": func(page layout, form pinForm) any {
		return struct {
			Session *session
			Form    pinForm
		}{page.Session, form}
	},

	"add": func(a, b int) int { return a + b },

	// Of strangers' text, without what a person cannot see. The template escapes it.
	"printable": safetext.Printable,
	"short":     func(text string) string { return safetext.Shorten(text, 80) },

	"event":  eventWords,
	"anchor": alertAnchor,
	"policy": tlsrptexplain.PolicyName,
	"area":   func(name string) string { return areaNames[name] },
}

// pages has the templates by name, each with the layout.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/status.html", "templates/timeline.html"))
	all := make(map[string]*template.Template)
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		all[page] = template.Must(template.Must(shared.Clone()).ParseFS(files, name))
	}
	return all
}

// assets has the hash of each file in static, which is part of its URL: a browser may keep
// the file for good.
var assets = hashAssets()

func hashAssets() map[string]string {
	all := make(map[string]string)
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(files, "static/"+entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		all[entry.Name()] = hex.EncodeToString(sum[:8])
	}
	return all
}

// asset is the path of a file in static.
func asset(name string) (string, error) {
	hash, ok := assets[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return "/static/" + hash + "/" + name, nil
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if hash := assets[name]; hash == "" || hash != r.PathValue("hash") {
		http.NotFound(w, r)
		return
	}
	content, err := fs.ReadFile(files, "static/"+name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(content)
}
