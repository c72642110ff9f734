package dashboard

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postern/internal/admission"
	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/safetext"
)

const (
	// cookieName has a prefix by which a browser refuses the cookie from other hosts'
	// pages, where the connection is encrypted (RFC 6265bis, Section 4.1.3).
	cookieName       = "postern"
	secureCookieName = "__Host-postern"
)

// loginRate bounds attempts to log in by password: three from an address and then one every
// three seconds, two a second in total. Links are not bounded by it, so that no stranger can
// lock the operator out.
var loginRate = admission.Quotas{
	Total:      admission.Quota{Starts: 2},
	PerNetwork: admission.Quota{Starts: 1.2},
}

func (d *Dashboard) cookieName(r *http.Request) string {
	if d.encrypted(r) {
		return secureCookieName
	}
	return cookieName
}

func (d *Dashboard) setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookieName(r), Value: value, Path: "/", MaxAge: age,
		Secure: d.encrypted(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// findSession returns the session of a request, or nil.
func (d *Dashboard) findSession(r *http.Request) *session {
	cookie, err := r.Cookie(d.cookieName(r))
	if err != nil {
		return nil
	}
	return d.access.session(cookie.Value)
}

type sessionKey struct{}

// sessionOf returns the session of a request that signedIn let through, or nil.
func sessionOf(r *http.Request) *session {
	s, _ := r.Context().Value(sessionKey{}).(*session)
	return s
}

// signedIn lets only those with a role through to next, and only forms of our own pages.
func (d *Dashboard) signedIn(least role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := d.findSession(r)
		if s == nil {
			d.askLogin(w, r, http.StatusUnauthorized, "")
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, s))
		switch {
		case s.Role < least:
			d.render(w, r, http.StatusForbidden, &view{Template: "error", Title: "Not allowed", Data: "Your account may see pages, not change anything."})
		case r.Method != http.MethodGet && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(s.CSRF)) != 1:
			d.render(w, r, http.StatusForbidden, &view{Template: "error", Title: "Not sent by this page", Data: "The form is not of this login. Load the page again, and repeat it."})
		default:
			next.ServeHTTP(w, r)
			if r.Method != http.MethodGet {
				d.views.forget()
			}
		}
	})
}

// askLogin shows how to log in, and what went wrong before.
func (d *Dashboard) askLogin(w http.ResponseWriter, r *http.Request, status int, problem string) {
	to := r.URL.RequestURI()
	if r.URL.Path == loginPath {
		to = r.PostFormValue("to")
	}
	d.render(w, r, status, &view{Template: "login", Title: "Log in", Data: struct {
		Problem   string
		Passwords bool // some users have one
		To        string
	}{problem, len(d.Access.Users) > 0, ownPage(to)}})
}

const loginPath = "/login"

// ownPage returns a path to go to after the login if it is one of ours, or else the first.
func ownPage(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, loginPath) || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}

// loginByLink takes a login link, or shows how to log in.
func (d *Dashboard) loginByLink(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	if token == "" {
		d.askLogin(w, r, http.StatusOK, "")
		return
	}
	from := d.client(r)
	cookie, ok := d.access.useLink(token, from)
	if !ok {
		if d.attempts.Line(from, 0) {
			d.Log.Info("dashboard login failed", logkey.Client, from, logkey.User, byLink)
		}
		d.askLogin(w, r, http.StatusUnauthorized, "This link was used already, or is older than 10 minutes.")
		return
	}
	d.loggedIn(w, r, cookie, byLink, operator, "/")
}

// loginByPassword checks the name and the password of a form.
func (d *Dashboard) loginByPassword(w http.ResponseWriter, r *http.Request) {
	from := d.client(r)
	if !d.attempts.Line(from, 0) {
		w.Header().Set("Retry-After", "10")
		d.askLogin(w, r, http.StatusTooManyRequests, "Too many attempts. Wait ten seconds. A link of postern dashboard works at once.")
		return
	}
	name, as := r.PostFormValue("name"), viewer
	known := d.user(name)
	if !known.Password.Matches(r.PostFormValue("password")) {
		d.Log.Info("dashboard login failed", logkey.Client, from, logkey.User, safetext.Shorten(name, 64))
		d.askLogin(w, r, http.StatusUnauthorized, "The name or the password is wrong.")
		return
	}
	if known.Operator {
		as = operator
	}
	d.loggedIn(w, r, d.access.start(name, as, from), name, as, ownPage(r.PostFormValue("to")))
}

// user returns the user with a name. Without one, no password matches.
func (d *Dashboard) user(name string) config.User {
	for _, user := range d.Access.Users {
		if user.Name == name {
			return user
		}
	}
	return config.User{}
}

// loggedIn hands the session to the browser, and leads on.
func (d *Dashboard) loggedIn(w http.ResponseWriter, r *http.Request, cookie, who string, as role, to string) {
	d.Log.Info("dashboard login", logkey.Client, d.client(r), logkey.User, who, logkey.Role, as.String())
	d.setCookie(w, r, cookie, int(sessionTime/time.Second))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// countRefused logs, once a minute, how many attempts were not looked at.
func (d *Dashboard) countRefused(sums []admission.Sum, took time.Duration) {
	for _, sum := range sums {
		d.Log.Warn("dashboard logins refused", logkey.Network, sum.String(), logkey.Requests, sum.Counts[0], logkey.Duration, took)
	}
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	d.access.end(*sessionOf(r))
	d.setCookie(w, r, "", -1)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

// audit logs what a person changed.
func (d *Dashboard) audit(r *http.Request, did string, details ...any) {
	s := sessionOf(r)
	d.Log.Info("changed by dashboard", append([]any{logkey.Action, did, logkey.User, s.Who, logkey.Client, d.client(r)}, details...)...)
}

// sessions lists who is logged in.
func (d *Dashboard) sessions(r *http.Request) (*view, error) {
	mine := sessionOf(r)
	type row struct {
		session
		Mine bool
	}
	var rows []row
	for _, s := range d.access.all(mine) {
		rows = append(rows, row{s, s.id == mine.id})
	}
	type object struct {
		Who   string     `json:"who"`
		Role  string     `json:"role"`
		From  netip.Addr `json:"from"`
		Start time.Time  `json:"start"`
		Last  time.Time  `json:"last"`
	}
	return &view{
		Template: "sessions", Title: "Who is logged in",
		Data: rows,
		JSON: linesOf(rows, func(s row) object {
			return object{s.Who, s.Role.String(), s.From, s.Start.UTC(), s.Last.UTC()}
		}),
	}, nil
}

// endOthers ends all other sessions that the list shows.
func (d *Dashboard) endOthers(w http.ResponseWriter, r *http.Request) {
	mine := sessionOf(r)
	all := d.access.all(mine)
	others := all[:0]
	for _, s := range all {
		if s.id != mine.id {
			others = append(others, s)
		}
	}
	d.access.end(others...)
	d.audit(r, "log out others", logkey.Sessions, len(others))
	http.Redirect(w, r, "/sessions", http.StatusSeeOther)
}
