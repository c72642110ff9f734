package dashboard

import (
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
)

// A journalEntry is a decision about a sender's TLS mode, and how to undo it.
type journalEntry struct {
	ledger.Decision
	Undo *undo // nil if there is nothing to undo
}

// An undo takes a decision back. The fallback learns by itself and cannot be told to forget, so a
// pin takes back what it decided: to the mode that the sender had before.
type undo struct {
	Unpin   bool // remove the pin of Network
	Network netip.Prefix
	Mode    string
	Why     string
}

// journal returns decisions, the newest first, with what can be undone. Of each network that is
// its last decision.
func journal(decisions []ledger.Decision, pins []fallback.Pin) []journalEntry {
	entries := make([]journalEntry, len(decisions))
	type subject struct {
		network     netip.Prefix
		fingerprint string
	}
	seen := make(map[subject]bool)
	for i, d := range decisions {
		entries[i].Decision = d
		if of := (subject{d.Network, d.Fingerprint}); !seen[of] {
			seen[of] = true
			entries[i].Undo = undoOf(d.Decision, pins)
		}
	}
	return entries
}

// undoOf returns how to undo the last decision about a sender.
func undoOf(d fallback.Decision, pins []fallback.Pin) *undo {
	if !d.Network.IsValid() || d.Network == fallback.Everywhere {
		return nil // it is about no network
	}
	pin := pinOf(pins, d.Network)
	why := "undoes " + string(d.Kind) + " of " + d.At.UTC().Format(time.DateTime) + " UTC"
	switch {
	case d.Kind == fallback.Pinned && pin != nil:
		return &undo{Unpin: true, Network: d.Network}
	case d.Kind == fallback.Unpinned && pin == nil:
		return &undo{Network: d.Network, Mode: d.From.String(), Why: strings.TrimPrefix(d.Why, "pin removed: ")}
	case d.Kind == fallback.FellBack, d.Kind == fallback.Reverted, d.Kind == fallback.Recovered:
		if pin == nil {
			return &undo{Network: d.Network, Mode: d.From.String(), Why: why}
		}
	}
	return nil
}

// Query are the parameters of the page of Network that fill in its form.
func (u *undo) Query() template.URL {
	return template.URL(url.Values{"mode": {u.Mode}, "why": {u.Why}}.Encode())
}

// Everywhere reports whether the decision is about a fingerprint in all networks.
func (e journalEntry) Everywhere() bool { return e.Network == fallback.Everywhere }

// Words are what was decided.
func (e journalEntry) Words() string {
	switch e.Kind {
	case fallback.FellBack:
		return "fell back from " + e.From.String() + " to " + e.To.String()
	case fallback.Reverted:
		return "reverted from " + e.From.String() + " to " + e.To.String()
	case fallback.Recovered:
		return "recovered from " + e.From.String() + " to " + e.To.String()
	case fallback.RetryFailed:
		return "retried " + e.From.String() + ", stays in " + e.To.String()
	case fallback.Pinned:
		return "pinned to " + e.To.String()
	case fallback.Unpinned:
		return "pin to " + e.From.String() + " removed"
	case fallback.Forgotten:
		return "forgotten"
	}
	return string(e.Kind)
}

// Evidence is the span of the handshakes that a decision rests on: those of the network in the day
// before.
func (e journalEntry) Evidence() span {
	return span{From: e.At.Add(-24 * time.Hour), To: e.At.Add(time.Second)}
}

// fallback shows every decision about TLS modes, and the pins.
func (d *Dashboard) fallback(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	filter := ledger.Filter{Host: of.Host, Since: of.From, Until: of.To, Sender: strings.TrimSpace(r.FormValue("sender")), Limit: rowsOfPage}
	decisions, err := book.Decisions(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	pins, err := book.Pins(r.Context())
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "fallback", Title: "Fallback", Live: true,
		Data: struct {
			Filter  ledger.Filter
			Journal []journalEntry
			Pins    []fallback.Pin
			Full    bool
			Form    pinForm
		}{filter, journal(decisions, pins), pins[:min(len(pins), rowsOfPage)], len(decisions) == rowsOfPage, pinForm{Modes: modeChoices}},
		JSON: linesOf(decisions, func(one ledger.Decision) ledger.Decision { return one }),
	}, nil
}
