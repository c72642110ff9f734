package dashboard

import (
	"context"
	"time"

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
	s, err := status.Read(ctx, book, ledger.Span{From: of.From, To: of.To}, words, now.UTC())
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

// MarkOf is that of a card.
func (s overallStatus) MarkOf(c status.Card) mark {
	if c.Effect == status.CannotDeliver {
		return markOf(status.Failed)
	}
	return markOf(status.Attention)
}
