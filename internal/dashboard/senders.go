package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/delivery"
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

// A senderRow is the senders of one network and EHLO name, whatever their fingerprints: at all hosts
// together, or at one.
type senderRow struct {
	ledger.Sender // with the sums
	Clients       int
	Trend         trendImage
	Modes         []senderMode // those that are not initial
	Effect        delivery.Effect
	Lost          int64 // attempts to deliver that failed since one last worked
	Scanner       bool
	DeliversAt    []string // other hosts, since it fails at this one

	trend ledger.Trend
}

// add adds another client of the same sender.
func (row *senderRow) add(s ledger.Sender, trend ledger.Trend, mode senderMode, effect delivery.Effect) {
	row.Clients++
	for i := range trend {
		row.trend[i].Add(trend[i])
	}
	if mode.Text != "" && !slices.Contains(row.Modes, mode) {
		row.Modes = append(row.Modes, mode)
	}
	if effect != 0 && (row.Effect == 0 || effect < row.Effect) {
		row.Effect, row.Case, row.FailingSince = effect, s.Case, s.FailingSince
	}
	if effect != 0 && effect != delivery.InPlaintext {
		row.Lost += s.Failing
	}
	row.Scanner = row.Scanner || s.Case == ledger.Scanner
	if row.Clients == 1 {
		return
	}
	row.Counts.Add(s.Counts)
	row.Failing += s.Failing
	if s.Last.After(row.Last) {
		row.Last = s.Last
	}
	if s.Worked.After(row.Worked) {
		row.Worked = s.Worked
	}
}

// senders lists senders by organization, those that lose mail first.
func (d *Dashboard) senders(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	filter := ledger.Filter{
		Host: of.Host, Since: of.From, Until: of.To, Sender: strings.TrimSpace(r.FormValue("sender")),
		Failed: r.FormValue("failed") != "", FailingFirst: r.FormValue("sort") != "sessions", Limit: rowsOfPage,
	}
	found, err := book.Senders(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	rows, err := senderRows(r.Context(), book, found, of)
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

// senderRows returns the senders by network and EHLO name, with their trends, their modes, and
// what their failures mean.
func senderRows(ctx context.Context, book *ledger.Reader, found []ledger.Sender, of span) ([]senderRow, error) {
	trends, err := book.Trends(ctx, found, of.To)
	if err != nil {
		return nil, err
	}
	modes, err := modesOf(ctx, book, found)
	if err != nil {
		return nil, err
	}
	effects, err := delivery.Effects(ctx, book, of.inLedger())
	if err != nil {
		return nil, err
	}
	type name struct {
		network    netip.Prefix
		ehlo, host string
	}
	var rows []senderRow
	places := make(map[name]int)
	for i, s := range found {
		of := name{s.Network, s.EHLO, s.Host}
		place, known := places[of]
		if !known {
			place = len(rows)
			places[of] = place
			rows = append(rows, senderRow{Sender: s})
		}
		rows[place].add(s, trends[i], modes.of(s), effects[delivery.Key{Network: s.Network, EHLO: s.EHLO, Fingerprint: s.Fingerprint}])
	}
	compareHosts(rows)
	for i := range rows {
		rows[i].Trend = newTrendImage(rows[i].trend)
	}
	return rows, nil
}

// compareHosts notes where else senders deliver that fail at one host.
func compareHosts(rows []senderRow) {
	for i := range rows {
		row := &rows[i]
		if row.Host == "" || row.Failing == 0 {
			continue
		}
		for _, other := range rows {
			if other.Host != row.Host && other.Network == row.Network && other.EHLO == row.EHLO && other.Worked.After(row.FailingSince) {
				row.DeliversAt = append(row.DeliversAt, other.Host)
			}
		}
		slices.Sort(row.DeliversAt)
	}
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
		groups[place].Lost += row.Lost
	}
	slices.SortStableFunc(groups, func(a, b senderGroup) int { return cmp.Compare(b.Lost, a.Lost) })
	return groups
}

// sender shows the senders of a network, or of an address: what they did, what was decided about
// them, and pins.
func (d *Dashboard) sender(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	network, err := fallback.ParseNetwork(r.PathValue("network"))
	if err != nil {
		return nil, &statusError{http.StatusNotFound, "There is no such network. Look for a sender by its name in the list of senders."}
	}
	history, err := book.SenderHistory(r.Context(), ledger.Filter{
		Host: of.Host, ByHost: true, Since: of.From, Until: of.To, Sender: network.String(), Limit: rowsOfPage,
	})
	if err != nil {
		return nil, err
	}
	rows, err := senderRows(r.Context(), book, history.Senders, of)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "sender", Title: "Senders of " + network.String(),
		Data: struct {
			ledger.SenderHistory
			Network netip.Prefix
			Groups  []senderGroup
			Pinned  *fallback.Pin // the pin of exactly this network
			Journal []journalEntry
			Form    pinForm
		}{history, network, grouped(rows), pinOf(history.Pins, network), journal(history.Decisions, history.Pins), newPinForm(r, history.Pins, network)},
		JSON: jsonout.NewSenderHistory(history),
	}, nil
}
