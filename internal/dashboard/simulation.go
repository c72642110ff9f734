package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/selfcheck"
)

// maxSimulated is how many hosts the page shows.
const maxSimulated = 16

// A simulation is what the test clients and the real senders did.
type simulation struct {
	Checks  checks
	Columns []simulatedAt
	Groups  []simulatedGroup
	Errors  []jsonout.Probed // hosts that could not be probed
}

// A simulatedAt is a column: an address of an MX host.
type simulatedAt struct {
	Host, Address string
	Family        string // IPv4 or IPv6
	At            time.Time
	runs          map[string]jsonout.SenderRun
	severity      map[string]string // of findings, by their ID
}

type simulatedGroup struct {
	Name string
	Real string // what real senders of the group did
	Rows []simulatedClient
}

type simulatedClient struct {
	persona.Persona
	Cells     []cell
	Real      string
	Disagrees string // how real senders and the imitation differ
}

// A cell is one run of a test client.
type cell struct {
	Class, Symbol, Word string
	Detail              string
	Link                string
}

// simulation shows how the test clients fared at each MX host, beside what the senders did that
// they imitate.
func (d *Dashboard) simulation(r *http.Request, book *ledger.Reader) (*view, error) {
	stored, err := book.Checks(r.Context(), ledger.CheckFilter{Kind: ledger.HostCheck, Limit: maxSimulated})
	if err != nil {
		return nil, err
	}
	page := simulation{}
	if page.Checks, err = d.checks(r.Context(), book, ledger.HostCheck); err != nil {
		return nil, err
	}
	results, err := summariesOf[jsonout.Probed](stored)
	if err != nil {
		return nil, err
	}
	for i, result := range results {
		if result.Error != "" {
			page.Errors = append(page.Errors, result)
		}
		page.Columns = append(page.Columns, columnsOf(stored[i], result)...)
	}
	if len(page.Columns) > 0 {
		real, err := selfcheck.ReadReal(r.Context(), book, results, d.now())
		if err != nil {
			return nil, err
		}
		page.Groups = groupsOf(page.Columns, real)
	}
	return &view{
		Template: "simulation", Title: "Client simulation", Live: true, Data: page,
		JSON: linesOf(results, func(p jsonout.Probed) jsonout.Probed { return p }),
	}, nil
}

// Clients is the number of test clients.
func (s simulation) Clients() (n int) {
	for _, g := range s.Groups {
		n += len(g.Rows)
	}
	return n
}

// Failing are the test clients that should deliver and fail at some host.
func (s simulation) Failing() (all []simulatedClient) {
	for _, g := range s.Groups {
		for _, row := range g.Rows {
			if row.fails() {
				all = append(all, row)
			}
		}
	}
	return all
}

// Tested reports whether there is a result of each client at each host.
func (s simulation) Tested() bool {
	return !slices.ContainsFunc(s.Groups, func(g simulatedGroup) bool {
		return slices.ContainsFunc(g.Rows, func(c simulatedClient) bool { return slices.ContainsFunc(c.Cells, cell.untested) })
	})
}

func (c simulatedClient) fails() bool {
	return slices.ContainsFunc(c.Cells, func(cell cell) bool { return cell.Class == "bad" })
}

// columnsOf returns the columns of a host.
func columnsOf(stored ledger.Check, result jsonout.Probed) (all []simulatedAt) {
	for _, host := range result.Hosts {
		for _, address := range host.Addresses {
			column := simulatedAt{
				Host: stored.Name, Address: address.Address, Family: "IPv4", At: stored.At,
				runs: make(map[string]jsonout.SenderRun), severity: make(map[string]string),
			}
			if strings.HasPrefix(address.Address, "[") {
				column.Family = "IPv6"
			}
			for _, run := range address.Senders {
				column.runs[run.ID] = run
			}
			for _, f := range address.Findings {
				column.severity[f.ID] = f.Severity
			}
			all = append(all, column)
		}
	}
	return all
}

func groupsOf(columns []simulatedAt, real selfcheck.Real) (all []simulatedGroup) {
	for _, g := range selfcheck.Groups() {
		counts, seen := real.ByGroup[g.Name]
		shown := simulatedGroup{Name: g.Name, Real: realText(g, counts, real.Senders[g.Name], seen)}
		for _, id := range g.Personas {
			known, ok := persona.Find(id)
			if !ok {
				continue
			}
			row := simulatedClient{Persona: *known}
			for _, column := range columns {
				row.Cells = append(row.Cells, column.cell(known.ID))
			}
			row.compare(counts, real.Failed[known.Case])
			shown.Rows = append(shown.Rows, row)
		}
		all = append(all, shown)
	}
	return all
}

// realText says what the real senders of a group did.
func realText(g selfcheck.Group, n ledger.Counts, senders int, seen bool) string {
	switch {
	case !g.Recognised():
		return "only their failures can be recognised"
	case !seen:
		return "none seen in 30 days"
	}
	text := fmt.Sprintf("%d of %d sessions in 30 days delivered over TLS", n.Full+n.Resumed, n.Full+n.Resumed+n.Failed+n.Plaintext)
	switch {
	case senders == 1:
		text = "1 sender: " + text
	case senders > 1:
		text = fmt.Sprintf("%d senders: ", senders) + text
	}
	if n.Failed > 0 {
		text += fmt.Sprintf(", %d failed", n.Failed)
	}
	if n.Plaintext > 0 {
		text += fmt.Sprintf(", %d in plaintext", n.Plaintext)
	}
	return text
}

// compare says what real senders did that behave as the client, and where that differs.
func (c *simulatedClient) compare(group ledger.Counts, failed int64) {
	delivers := !slices.ContainsFunc(c.Cells, func(cell cell) bool { return cell.Class != "ok" })
	switch {
	case c.Case != "" && failed > 0:
		c.Real = fmt.Sprintf("%d failed as %s", failed, c.Case)
		if delivers {
			c.Disagrees = "the test client delivers, real ones failed"
		}
	case c.Case != "":
		c.Real = "none failed so"
	}
	if c.fails() && failed == 0 && group.Failed == 0 && group.Full+group.Resumed > 0 {
		c.Disagrees = "the test client fails, the real ones deliver"
	}
}

// cell returns how a test client fared at an address.
func (a simulatedAt) cell(client string) cell {
	run, ok := a.runs[client]
	if !ok {
		return cell{"unknown", "?", notTested, "", ""}
	}
	c := cell{Detail: strings.TrimSpace(run.Version + " " + run.Group), Link: runPath(a.Host, a.Address, run.ID)}
	switch {
	case run.Outcome == "completed" && run.Resumption == "failed":
		c.Class, c.Symbol, c.Word = "bad", "✕", "fails with its session"
	case run.Outcome == "completed" && run.Resumption == "resumed":
		c.Class, c.Symbol, c.Word = "ok", "✓", "resumes"
	case run.Outcome == "completed":
		c.Class, c.Symbol, c.Word = "ok", "✓", "delivers"
	case run.Outcome == "refused":
		c.Class, c.Symbol, c.Word = "ok", "✓", "refused, as it should be"
	case run.Outcome == "failed" && run.Plaintext:
		c.Class, c.Symbol, c.Word = "warn", "!", "plaintext"
	case run.Outcome == "failed" && a.severity[run.ID] == "notice":
		c.Class, c.Symbol, c.Word = "unknown", "–", "fails, as expected"
	case run.Outcome == "failed":
		c.Class, c.Symbol, c.Word = "bad", "✕", "fails"
	default:
		c.Class, c.Symbol, c.Word = "unknown", "?", notTested
	}
	return c
}

const notTested = "not tested"

func (c cell) untested() bool { return c.Word == notTested }

func runPath(host, address, id string) string {
	return "/simulation/" + url.PathEscape(host) + "/" + url.PathEscape(address) + "/" + id
}

// A simulatedRun is a run with its handshake.
type simulatedRun struct {
	simulatedAt
	Cell    cell
	Run     jsonout.SenderRun
	Diagram *diagram // nil: the handshake did not begin
}

// simulatedRun shows the handshake of a run.
func (d *Dashboard) simulatedRun(r *http.Request, book *ledger.Reader) (*view, error) {
	missing := &statusError{http.StatusNotFound, "There is no such run in the last check of the host."}
	stored, result, err := contentOf[jsonout.Probed](r.Context(), book, ledger.HostCheck, r.PathValue("host"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing
	case err != nil:
		return nil, err
	}
	for _, column := range columnsOf(stored, result) {
		run, ok := column.runs[r.PathValue("client")]
		if !ok || column.Address != r.PathValue("address") {
			continue
		}
		page := simulatedRun{column, column.cell(run.ID), run, diagramOf("Messages", run.Handshake)}
		return &view{Template: "run", Title: run.ID + " at " + column.Host, Data: page, JSON: run}, nil
	}
	return nil, missing
}
