package main

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/clientsim"
	"postern/internal/safetext"
)

// A labScreen shows a matrix to a person: the table, what stands in it, then what it
// says.
type labScreen struct{ terminal }

const (
	labClient  = 26                              // columns for a client
	labCell    = 4                               // for a cell
	labServers = (columns - labClient) / labCell // in one table: the rest has one below
)

func (s labScreen) matrix(m *clientsim.Matrix) {
	fmt.Fprintf(s.out, "%d clients at %d servers, %s\n", len(m.Clients), len(m.Servers), m.Start.UTC().Format("2 January 2006"))
	for from := 0; from < len(m.Servers); from += labServers {
		s.table(m, from, min(from+labServers, len(m.Servers)))
	}
	fmt.Fprintln(s.out)
	for _, mark := range m.Legend() {
		s.paragraph(string(mark), mark.Means())
	}
	s.servers(m)
	fmt.Fprintln(s.out)
	s.paragraph("finding", m.Finding())
}

// table has the servers from one place to another as its columns.
func (s labScreen) table(m *clientsim.Matrix, from, to int) {
	line := func(head string, cell func(i int) string) {
		text := fmt.Sprintf("%-*s", labClient, head)
		for i := from; i < to; i++ {
			text += fmt.Sprintf("%-*s", labCell, cell(i))
		}
		fmt.Fprintln(s.out, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(s.out)
	line("", clientsim.Column)
	for row, c := range m.Clients {
		line(c.Name, func(i int) string { return string(m.Servers[i].Cells[row].Mark()) })
	}
}

// servers tells what the columns are, and what is known of the programs.
func (s labScreen) servers(m *clientsim.Matrix) {
	width := len("server")
	for _, server := range m.Servers {
		width = max(width, len(server.Title()))
	}
	fmt.Fprintf(s.out, "\n%-*s%-*s  its session tickets (TLS 1.3)\n", labCell, "", width, "server")
	for i, server := range m.Servers {
		fmt.Fprintf(s.out, "%-*s%-*s  %s\n", labCell, clientsim.Column(i), width, server.Title(), server.Order.Words())
	}
	fmt.Fprintln(s.out)
	tools := slices.DeleteFunc(slices.Clone(m.Clients), func(c clientsim.Client) bool { return !c.Real })
	if tools != nil {
		s.paragraph("clients", "the personas, "+strings.Join(each(tools, clientsim.Client.Title), ", "))
	}
	for _, a := range m.Absent {
		s.paragraph("not here", safetext.Printable(a.Name+": "+a.Why))
	}
}
