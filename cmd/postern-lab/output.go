package main

import (
	"fmt"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/clientsim"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

const (
	clientWidth     = 26
	cellWidth       = 4
	serversPerTable = (terminal.Columns - clientWidth) / cellWidth
)

// printMatrix prints the tables, the legend, the servers and the finding.
func printMatrix(ui terminal.UI, m *clientsim.Matrix) {
	fmt.Fprintf(ui.Out, "%d clients, %d servers, %s\n", len(m.Clients), len(m.Servers), m.Start.UTC().Format("2 January 2006 MST"))
	for from := 0; from < len(m.Servers); from += serversPerTable {
		printTable(ui, m, from, min(from+serversPerTable, len(m.Servers)))
	}
	fmt.Fprintln(ui.Out)
	for _, mark := range m.Legend() {
		ui.Paragraph(string(mark), mark.Means())
	}
	printServers(ui, m)
	printClients(ui, m)
	fmt.Fprintln(ui.Out)
	ui.Paragraph("finding", m.Finding())
}

// printTable prints the columns of the servers from one index up to another.
func printTable(ui terminal.UI, m *clientsim.Matrix, from, to int) {
	line := func(head string, cell func(i int) string) {
		text := fmt.Sprintf("%-*s", clientWidth, head)
		for i := from; i < to; i++ {
			text += fmt.Sprintf("%-*s", cellWidth, cell(i))
		}
		fmt.Fprintln(ui.Out, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(ui.Out)
	line("", clientsim.Column)
	for row, c := range m.Clients {
		line(c.Name, func(i int) string { return string(m.Servers[i].Cells[row].Mark()) })
	}
}

// printServers prints what the columns are.
func printServers(ui terminal.UI, m *clientsim.Matrix) {
	width := len("server")
	for _, s := range m.Servers {
		width = max(width, len(s.Title()))
	}
	fmt.Fprintf(ui.Out, "\n%-*s%-*s  session ticket (TLS 1.3)\n", cellWidth, "", width, "server")
	for i, s := range m.Servers {
		fmt.Fprintf(ui.Out, "%-*s%-*s  %s\n", cellWidth, clientsim.Column(i), width, s.Title(), s.Tickets.Words())
	}
	fmt.Fprintln(ui.Out)
}

// printClients prints the real clients, and the programs that are missing.
func printClients(ui terminal.UI, m *clientsim.Matrix) {
	names := []string{"personas"}
	for _, c := range m.Clients {
		if c.Real {
			names = append(names, c.Title())
		}
	}
	if len(names) > 1 {
		ui.Paragraph("clients", strings.Join(names, ", "))
	}
	for _, a := range m.Missing {
		ui.Paragraph("missing", safetext.Printable(a.Name+": "+a.Why))
	}
}

// A matrixJSON is a matrix as docs/json.md describes it.
type matrixJSON struct {
	Version int                 `json:"version"`
	Time    time.Time           `json:"time"`
	Took    float64             `json:"took"`
	Finding string              `json:"finding"`
	Servers []serverJSON        `json:"servers"`
	Clients []clientsim.Client  `json:"clients"`
	Absent  []clientsim.Missing `json:"missing"`
	Cells   []cellJSON          `json:"cells"`
}

type serverJSON struct {
	Column  string `json:"column"`
	Name    string `json:"name"`
	Release string `json:"release,omitempty"`
	Tickets string `json:"tickets"`
}

type cellJSON struct {
	Client     string                `json:"client"`
	Column     string                `json:"column"`
	Outcome    string                `json:"outcome"`
	Plaintext  bool                  `json:"plaintext"`
	Resumption string                `json:"resumption"`
	Why        string                `json:"why,omitempty"`
	Handshake  *handshake.Transcript `json:"handshake,omitempty"`
	Second     *handshake.Transcript `json:"second,omitempty"`
}

// toJSON returns m with its cells in one list, server by server.
func toJSON(m *clientsim.Matrix) matrixJSON {
	j := matrixJSON{
		Version: 1, Time: m.Start.UTC(), Took: m.Took.Seconds(), Finding: m.Finding(),
		Servers: []serverJSON{}, Clients: append([]clientsim.Client{}, m.Clients...),
		Absent: append([]clientsim.Missing{}, m.Missing...), Cells: []cellJSON{},
	}
	for i, s := range m.Servers {
		j.Servers = append(j.Servers, serverJSON{clientsim.Column(i), s.Name, s.Version, s.Tickets.String()})
		for k, c := range s.Cells {
			j.Cells = append(j.Cells, cellJSON{
				m.Clients[k].Name, clientsim.Column(i), c.Outcome.String(), c.Plaintext, c.Resumption.String(), c.Why, c.First, c.Second,
			})
		}
	}
	return j
}
