package dashboard

import (
	"net/http"

	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// rowsOfPage is how many rows a list shows.
const rowsOfPage = 100

// handshakes lists handshakes.
func (d *Dashboard) handshakes(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	filter := ledger.Filter{
		Host: of.Host, Since: of.From, Until: of.To, Sender: r.FormValue("sender"), Case: r.FormValue("case"),
		Failed: r.FormValue("failed") != "", Limit: rowsOfPage,
	}
	found, err := book.Handshakes(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "handshakes", Title: "Handshakes", Live: true,
		Data: struct {
			Filter     ledger.Filter
			Handshakes []ledger.Handshake
		}{filter, found},
		JSON: linesOf(found, jsonout.NewHandshake),
	}, nil
}
