package dashboard

import (
	"net/http"

	"postern/internal/ledger"
)

// overview is the first page.
func (d *Dashboard) overview(r *http.Request) (*view, error) {
	book, err := d.reader()
	if err != nil {
		return nil, err
	}
	of, err := spanOf(r, d.now())
	if err != nil {
		return nil, err
	}
	failed, err := book.Handshakes(r.Context(), ledger.Filter{Since: of.From, Until: of.To, Failed: true, Limit: 10})
	if err != nil {
		return nil, err
	}
	line, err := d.timeline(r.Context(), book, of)
	if err != nil {
		return nil, err
	}
	return &view{Template: "overview", Title: "Overview", Live: true, Data: struct {
		Failed   []ledger.Handshake
		Timeline *timeline
	}{failed, line}, JSON: line.JSON}, nil
}
