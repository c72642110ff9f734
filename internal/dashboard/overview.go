package dashboard

import (
	"net/http"

	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// overview is the first page.
func (d *Dashboard) overview(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	s, err := readStatus(r.Context(), book, of, d.now())
	if err != nil {
		return nil, err
	}
	line, err := d.timeline(r.Context(), book, of)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "overview", Title: "Overview", Live: true,
		Data: struct {
			Status   overallStatus
			Timeline *timeline
		}{s, line},
		JSON: struct {
			jsonout.Status
			Timeline jsonout.Timeline `json:"timeline"`
		}{jsonout.NewStatus(s.Status), line.JSON},
	}, nil
}
