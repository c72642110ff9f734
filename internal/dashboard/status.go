package dashboard

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/status"
)

// An overallStatus is the sentence and the cards of a span.
type overallStatus struct {
	status.Status
	Of span
}

// readStatus reads who cannot deliver in a span.
func readStatus(ctx context.Context, book *ledger.Reader, of span, now time.Time) (overallStatus, error) {
	words := "in " + of.String()
	if of.Last == "" {
		words = "from " + of.String()
	}
	s, err := status.Read(ctx, book, of.inLedger(), words, now.UTC())
	return overallStatus{s, of}, err
}

// A mark says a state by a symbol, a word and a colour.
type mark struct{ Symbol, Word, Class string }

// markOf returns the mark of a state.
func markOf(s status.State) mark {
	switch s {
	case status.OK:
		return mark{"✓", "OK", "ok"}
	case status.Attention:
		return mark{"!", "Attention", "warn"}
	case status.Failed:
		return mark{"✕", "Failed", "bad"}
	}
	return mark{"?", "No data", "unknown"}
}

// Mark is that of the sentence.
func (s overallStatus) Mark() mark { return markOf(s.State) }

// FleetSummary says how many hosts share.
func (s overallStatus) FleetSummary() string { return fleet.Summary(s.Fleet) }

// A shownCard is a card of the overview.
type shownCard struct {
	status.Card
	Of span
}

// Card returns a card for its template.
func (s overallStatus) Card(c status.Card) shownCard { return shownCard{c, s.Of} }

// Mark is that of the card.
func (c shownCard) Mark() mark { return markOf(c.State()) }

// Senders is the path of the card's senders. The list finds those of an organization by their
// names in EHLO; without such a name it is the whole one, in which they are among the first.
func (c shownCard) Senders() string {
	of := c.Organization.Domain
	switch {
	case len(c.Networks) == 1:
		return "/senders/" + c.Networks[0].String() + "?" + string(c.Of.Query())
	case slices.ContainsFunc(c.Names, func(name string) bool { return strings.HasSuffix(strings.ToLower(name), of) }):
		return "/senders?" + url.Values{"sender": {of}}.Encode() + "&" + string(c.Of.Query())
	}
	return "/senders?" + string(c.Of.Query())
}
