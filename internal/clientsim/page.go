package clientsim

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"postern/handshake"
)

//go:embed page.html
var pageText string

// pageTemplate escapes all that it is given for the place where that stands.
var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page is the matrix as page.html shows it.
type page struct {
	Date    string
	Finding string
	Legend  []Mark
	Servers []pageServer
	Clients []pageClient
	Absent  []Missing
}

type pageServer struct{ Head, Name, Version, Tickets string }

type pageClient struct {
	Client
	Cells []pageCell
}

// A pageCell is a button in the table, and what it opens.
type pageCell struct {
	ID             string
	Mark           Mark
	Client, Server string
	Why            string
	Drawings       []drawing
}

type drawing struct{ Title, Text string }

// WriteHTML writes m as one page, without anything from elsewhere and without scripts. A
// cell opens the drawing of its handshakes. The error is that of w.
func (m *Matrix) WriteHTML(w io.Writer) error {
	p := page{Date: m.Start.UTC().Format("2 January 2006 MST"), Finding: m.Finding(), Legend: m.Legend(), Absent: m.Missing}
	for i, s := range m.Servers {
		p.Servers = append(p.Servers, pageServer{Column(i), s.Name, s.Version, s.Tickets.Words()})
	}
	for i, c := range m.Clients {
		row := pageClient{Client: c}
		for j, s := range m.Servers {
			row.Cells = append(row.Cells, pageCell{
				ID: fmt.Sprintf("c%d-%d", i, j), Mark: s.Cells[i].Mark(), Client: c.Title(), Server: s.Title(),
				Why: s.Cells[i].Why, Drawings: drawings(s.Cells[i]),
			})
		}
		p.Clients = append(p.Clients, row)
	}
	return pageTemplate.Execute(w, p)
}

func drawings(c Cell) (all []drawing) {
	for _, d := range []struct {
		title string
		t     *handshake.Transcript
	}{{"First connection", c.First}, {"Second connection", c.Second}} {
		if d.t != nil {
			all = append(all, drawing{d.title, d.t.Diagram(handshake.DiagramOptions{Location: time.UTC})})
		}
	}
	return all
}
