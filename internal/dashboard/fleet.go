package dashboard

import (
	"net/http"
	"strings"
	"time"

	"postern/internal/fleet"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/status"
)

// fleetPage is the path of the page about the hosts. Only the navigation of a fleet has it.
const fleetPage = "/fleet"

// A hostRow is a host of the fleet in the list.
type hostRow struct {
	fleet.Member
	now time.Time
}

// Mark is that of the host.
func (r hostRow) Mark() mark {
	switch r.Health {
	case fleet.Shares:
		return mark{"✓", r.Health.Words(), "ok"}
	case fleet.Stopped:
		return mark{"–", r.Health.Words(), "unknown"}
	case fleet.Unknown:
		return mark{"?", r.Health.Words(), "unknown"}
	}
	return mark{"!", r.Health.Words(), "warn"}
}

// KeyAge is how old its key of session tickets is, in words.
func (r hostRow) KeyAge() string {
	if r.KeySince.IsZero() {
		return ""
	}
	return fleet.Age(r.now.Sub(r.KeySince))
}

// fleetHosts lists the hosts of the fleet, and how they do.
func (d *Dashboard) fleetHosts(r *http.Request, book *ledger.Reader) (*view, error) {
	now := d.now()
	members, err := status.Hosts(r.Context(), book, now)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 && d.Fleet == "" {
		return nil, &statusError{http.StatusNotFound, "This host is alone: its configuration has no table fleet."}
	}
	var versions string
	if all := fleet.Versions(members); len(all) > 1 {
		versions = strings.Join(all, ", ")
	}
	rows := make([]hostRow, len(members))
	for i, m := range members {
		rows[i] = hostRow{m, now}
	}
	return &view{
		Template: "fleet", Title: "Fleet", Live: true,
		Data: struct {
			Summary  string
			Hosts    []hostRow
			Versions string // if there are several
		}{fleet.Summary(members), rows, versions},
		JSON: linesOf(members, jsonout.NewFleetHost),
	}, nil
}
