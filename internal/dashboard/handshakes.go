package dashboard

import (
	"errors"
	"io/fs"
	"net/http"

	"postern/handshake"
	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// rowsOfPage is how many rows a list shows.
const rowsOfPage = 100

// handshakes lists handshakes.
func (d *Dashboard) handshakes(r *http.Request) (*view, error) {
	book, err := d.reader()
	if err != nil {
		return nil, err
	}
	of, err := spanOf(r, d.now())
	if err != nil {
		return nil, err
	}
	filter := ledger.Filter{
		Since: of.From, Until: of.To, Sender: r.FormValue("sender"), Case: r.FormValue("case"),
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

// handshake shows one handshake.
func (d *Dashboard) handshake(r *http.Request) (*view, error) {
	book, err := d.reader()
	if err != nil {
		return nil, err
	}
	found, err := book.Handshake(r.Context(), r.PathValue("session"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &statusError{http.StatusNotFound, "There is no handshake of this session. It may be older than the ledger keeps."}
	}
	if err != nil {
		return nil, err
	}
	diagram := ""
	if transcript, err := handshake.Parse(found.Transcript); err == nil {
		diagram = transcript.Diagram(handshake.DiagramOptions{})
	}
	return &view{
		Template: "handshake", Title: "Handshake " + found.Session,
		Data: struct {
			ledger.Handshake
			Diagram string
		}{found, diagram},
		JSON: jsonout.NewHandshake(found),
	}, nil
}
