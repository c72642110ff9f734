package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"postern/internal/ledger"
	"postern/internal/selfcheck"
)

// checks says when the server checks itself.
type checks struct {
	ledger.Checked
	selfcheck.Progress
	Next    time.Time // zero: there is no daily check
	Why     string    // there is none
	Local   string    // address of the listener that is checked in place of MX hosts
	Can     bool      // a check can be started here
	Domains int       // that the server has
	Most    int       // of them that one check looks at
}

// checks returns when checks of a kind were made, and will be.
func (d *Dashboard) checks(ctx context.Context, book *ledger.Reader, kind ledger.CheckKind) (c checks, err error) {
	if c.Checked, err = book.Checked(ctx, kind); err != nil || d.Checks == nil {
		c.Why = "this server makes none"
		return c, err
	}
	settings := d.Checks.Settings()
	c.Progress, c.Can, c.Why, c.Local = d.Checks.Progress(), true, settings.Why, settings.Local
	c.Domains, c.Most = len(settings.Domains), selfcheck.MaxDomains
	c.Next, _ = d.Checks.Next()
	return c, nil
}

// startCheck starts a check that an operator asks for.
func (d *Dashboard) startCheck(w http.ResponseWriter, r *http.Request) {
	err := errors.New("this server makes no checks")
	if d.Checks != nil {
		err = d.Checks.Request()
	}
	if err != nil {
		d.render(w, r, http.StatusConflict, &view{Template: "error", Title: "Not started", Data: "No check was started: " + err.Error() + "."})
		return
	}
	to := "/simulation"
	if r.PostFormValue("from") == "domains" {
		to = "/domains"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// summariesOf returns what the summaries of checks say, in their order.
func summariesOf[T any](stored []ledger.Check) (all []T, err error) {
	for _, one := range stored {
		var summary T
		if err := json.Unmarshal(one.Summary, &summary); err != nil {
			return nil, err
		}
		all = append(all, summary)
	}
	return all, nil
}

// contentOf returns the check of a kind and name, and what it says. The error is that of
// [ledger.Reader.Check].
func contentOf[T any](ctx context.Context, book *ledger.Reader, kind ledger.CheckKind, name string) (stored ledger.Check, content T, err error) {
	if stored, err = book.Check(ctx, kind, name); err == nil {
		err = json.Unmarshal(stored.Content, &content)
	}
	return stored, content, err
}
