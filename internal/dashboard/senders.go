package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/fallback"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/organization"
)

// A senderGroup is the senders of one organization, or of one network whose organization is not
// known.
type senderGroup struct {
	Title   string
	By      string // who says so, in words; empty if the organization is not known
	Lost    int64  // attempts of all of them
	Senders []senderRow
}

// A senderRow is a sender in the list.
type senderRow struct {
	ledger.Sender
	Trend trendImage
	Mode  senderMode
}

// Lost is how many attempts to deliver failed since one last worked. What a scanner does is none.
func (s senderRow) Lost() int64 {
	if s.Case == ledger.Scanner {
		return 0
	}
	return s.Failing
}

// senders lists senders by organization, those that lose mail first.
func (d *Dashboard) senders(r *http.Request) (*view, error) {
	book, err := d.reader()
	if err != nil {
		return nil, err
	}
	of, err := spanOf(r, d.now())
	if err != nil {
		return nil, err
	}
	filter := ledger.Filter{
		Since: of.From, Until: of.To, Sender: strings.TrimSpace(r.FormValue("sender")),
		Failed: r.FormValue("failed") != "", FailingFirst: r.FormValue("sort") != "sessions", Limit: rowsOfPage,
	}
	found, err := book.Senders(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	rows, err := senderRows(r.Context(), book, found, of.To)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "senders", Title: "Senders", Live: true,
		Data: struct {
			Filter ledger.Filter
			Groups []senderGroup
			Full   bool
		}{filter, grouped(rows), len(found) == rowsOfPage},
		JSON: linesOf(found, func(s ledger.Sender) ledger.Sender { return s }),
	}, nil
}

// senderRows adds to senders their trends and modes.
func senderRows(ctx context.Context, book *ledger.Reader, found []ledger.Sender, until time.Time) ([]senderRow, error) {
	trends, err := book.Trends(ctx, found, until)
	if err != nil {
		return nil, err
	}
	modes, err := modesOf(ctx, book, found)
	if err != nil {
		return nil, err
	}
	rows := make([]senderRow, len(found))
	for i, s := range found {
		rows[i] = senderRow{s, newTrendImage(trends[i]), modes.of(s)}
	}
	return rows, nil
}

// grouped returns rows by organization. Groups have the order of their first rows, except that
// those that lose the most come first.
func grouped(rows []senderRow) (groups []senderGroup) {
	places := make(map[string]int)
	for _, row := range rows {
		title, by := row.Network.String(), ""
		if of := organization.Of(row.Name, row.EHLO); of.Domain != "" {
			title, by = of.Domain, of.By.String()
		}
		place, known := places[title+" "+by]
		if !known {
			place = len(groups)
			places[title+" "+by] = place
			groups = append(groups, senderGroup{Title: title, By: by})
		}
		groups[place].Senders = append(groups[place].Senders, row)
		groups[place].Lost += row.Lost()
	}
	slices.SortStableFunc(groups, func(a, b senderGroup) int { return cmp.Compare(b.Lost, a.Lost) })
	return groups
}

// sender shows the senders of a network, or of an address: what they did, what was decided about
// them, and pins.
func (d *Dashboard) sender(r *http.Request) (*view, error) {
	network, err := fallback.ParseNetwork(r.PathValue("network"))
	if err != nil {
		return nil, &statusError{http.StatusNotFound, "There is no such network. Look for a sender by its name in the list of senders."}
	}
	book, err := d.reader()
	if err != nil {
		return nil, err
	}
	of, err := spanOr(r, d.now(), "7d")
	if err != nil {
		return nil, err
	}
	history, err := book.SenderHistory(r.Context(), ledger.Filter{Since: of.From, Until: of.To, Sender: network.String(), Limit: rowsOfPage})
	if err != nil {
		return nil, err
	}
	rows, err := senderRows(r.Context(), book, history.Senders, of.To)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "sender", Title: "Senders of " + network.String(), Span: &of,
		Data: struct {
			ledger.SenderHistory
			Network netip.Prefix
			Groups  []senderGroup
			Pinned  *fallback.Pin // the pin of exactly this network
			Journal []journalEntry
			Modes   []modeChoice
		}{history, network, grouped(rows), pinOf(history.Pins, network), journal(history.Decisions, history.Pins), modeChoices},
		JSON: jsonout.NewSenderHistory(history),
	}, nil
}
