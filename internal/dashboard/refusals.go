package dashboard

import (
	"net/http"
	"strings"

	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// A refusalRow is a refusal in the list.
type refusalRow struct{ ledger.Refusal }

// Deferred reports whether the sender may retry.
func (r refusalRow) Deferred() bool { return strings.HasPrefix(r.Reply, "4") }

// By is who said it.
func (r refusalRow) By() string {
	switch {
	case r.Command == "":
		return ""
	case r.Remote:
		return "the next hop"
	}
	return "Postern"
}

// refusals lists refused and deferred commands by reason, the newest first.
func (d *Dashboard) refusals(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	filter := ledger.RefusalFilter{
		Host: of.Host, Since: of.From, Until: of.To, Limit: rowsOfPage,
		Sender: strings.TrimSpace(r.FormValue("sender")), Recipient: strings.TrimSpace(r.FormValue("recipient")),
	}
	found, err := book.Refusals(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	rows := make([]refusalRow, len(found))
	for i, one := range found {
		rows[i] = refusalRow{one}
	}
	return &view{
		Template: "refusals", Title: "Refusals", Live: true,
		Data: struct {
			Filter   ledger.RefusalFilter
			Refusals []refusalRow
			Full     bool
		}{filter, rows, len(found) == rowsOfPage},
		JSON: linesOf(found, jsonout.NewRefusal),
	}, nil
}
