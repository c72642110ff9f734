package dashboard

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/sessionticket"
)

// A modeChoice is a TLS mode to which senders can be pinned.
type modeChoice struct {
	Mode  sessionticket.Mode
	Means string
}

var modeChoices = []modeChoice{
	{sessionticket.OwnWrite, "the session ticket by itself, after the client's Finished"},
	{sessionticket.FirstWrite, "the session ticket with the first reply"},
	{sessionticket.NoTicket, "no session ticket"},
	{sessionticket.TLS12, "TLS 1.2 at most, no session ticket"},
	{sessionticket.Stock, "the session ticket before the client's Finished, as crypto/tls sends it"},
}

// pinOf returns the pin of exactly a network, or nil.
func pinOf(pins []fallback.Pin, network netip.Prefix) *fallback.Pin {
	for i := range pins {
		if pins[i].Network == network {
			return &pins[i]
		}
	}
	return nil
}

// A pinForm is the form that pins a network. A link that undoes a decision fills it in.
type pinForm struct {
	Network string
	Mode    string
	Why     string
	Open    bool
	Modes   []modeChoice
}

func newPinForm(r *http.Request, pins []fallback.Pin, network netip.Prefix) pinForm {
	form := pinForm{Network: network.String(), Mode: r.FormValue("mode"), Why: safetext.Printable(r.FormValue("why")), Modes: modeChoices}
	form.Open = form.Mode != "" || len(pins) == 0
	if pin := pinOf(pins, network); pin != nil && form.Mode == "" {
		form.Mode, form.Why = pin.Mode.String(), pin.Why
	}
	return form
}

// maxReason bounds the reason of a pin, in bytes.
const maxReason = 500

// pin pins the senders of a network to a mode.
func (d *Dashboard) pin(w http.ResponseWriter, r *http.Request) error {
	network, err := fallback.ParseNetwork(strings.TrimSpace(r.PostFormValue("network")))
	if err != nil {
		return &statusError{http.StatusBadRequest, "The network is neither an address nor a network, such as 192.0.2.0/24."}
	}
	var mode sessionticket.Mode
	if err := mode.UnmarshalText([]byte(r.PostFormValue("mode"))); err != nil {
		return &statusError{http.StatusBadRequest, "Choose one of the TLS modes."}
	}
	why := strings.TrimSpace(r.PostFormValue("why"))
	if why == "" || len(why) > maxReason {
		return &statusError{http.StatusBadRequest, "Give a reason for the pin, of 500 bytes at most: it is shown with it."}
	}
	if err := ledger.SetPin(r.Context(), d.Ledger, fallback.Pin{Network: network, Mode: mode, Why: why, Since: d.now()}); err != nil {
		return err
	}
	d.audit(r, "pin", logkey.Network, network, logkey.Mode, mode, logkey.Reason, safetext.Printable(why))
	http.Redirect(w, r, "/senders/"+network.String(), http.StatusSeeOther)
	return nil
}

// unpin removes the pin of a network.
func (d *Dashboard) unpin(w http.ResponseWriter, r *http.Request) error {
	network, err := fallback.ParseNetwork(r.PostFormValue("network"))
	if err != nil {
		return &statusError{http.StatusBadRequest, "The network is neither an address nor a network, such as 192.0.2.0/24."}
	}
	switch err := ledger.RemovePin(r.Context(), d.Ledger, network, d.now()); {
	case errors.Is(err, ledger.ErrNoPin):
		return &statusError{http.StatusConflict, "This network is not pinned any more. Load the page again."}
	case err != nil:
		return err
	}
	d.audit(r, "unpin", logkey.Network, network)
	http.Redirect(w, r, "/senders/"+network.String(), http.StatusSeeOther)
	return nil
}
