package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"postern/internal/alert"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

// alerts lists the open alerts, and those that ended in the span.
func (d *Dashboard) alerts(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	found, err := book.Alerts(r.Context(), ledger.AlertFilter{Host: of.Host, Since: of.From, Limit: rowsOfPage})
	if err != nil {
		return nil, err
	}
	var open, ended []listedAlert
	for _, a := range found {
		if one := (listedAlert{a, alert.Kind(a.Kind), a.Host != "" && a.Host != d.Fleet}); a.Ended.IsZero() {
			open = append(open, one)
		} else if a.Ended.Before(of.To) {
			ended = append(ended, one)
		}
	}
	return &view{
		Template: "alerts", Title: "Alerts", Live: true,
		Data: struct{ Open, Ended []listedAlert }{open, ended},
		JSON: linesOf(found, jsonout.NewAlert),
	}, nil
}

// A listedAlert is an alert with its kind's words.
type listedAlert struct {
	ledger.Alert
	Kind      alert.Kind
	Elsewhere bool // it is another host's, where it can be acknowledged
}

// alertAnchor is the place of an alert on the page: hosts number their own.
func alertAnchor(a ledger.Alert) string {
	if a.Host == "" {
		return fmt.Sprint("alert-", a.ID)
	}
	return fmt.Sprint("alert-", a.Host, "-", a.ID)
}

// acknowledgeAlert notes that an operator knows of an alert, and shows the list again.
func (d *Dashboard) acknowledgeAlert(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("alert"), 10, 64)
	if err == nil {
		err = ledger.AcknowledgeAlert(r.Context(), d.Ledger, id, sessionOf(r).Who, d.now())
	}
	switch {
	case errors.Is(err, ledger.ErrNoAlert), errors.Is(err, strconv.ErrSyntax), errors.Is(err, strconv.ErrRange):
		return &statusError{http.StatusNotFound, "There is no such open alert. It may have ended."}
	case err != nil:
		return err
	}
	d.audit(r, "acknowledge", logkey.Alert, id)
	http.Redirect(w, r, "/alerts", http.StatusSeeOther)
	return nil
}
