package main

import (
	"time"

	"postern/handshake"
	"postern/internal/clientsim"
)

// labVersion is raised when the meaning of a field changes.
const labVersion = 1

// A labJSON is a matrix as docs/json.md tells it.
type labJSON struct {
	Version int             `json:"version"`
	Time    time.Time       `json:"time"`
	Took    float64         `json:"took"`
	Finding string          `json:"finding"`
	Servers []labServerJSON `json:"servers"`
	Clients []labClientJSON `json:"clients"`
	Absent  []labAbsentJSON `json:"absent"`
	Cells   []labCellJSON   `json:"cells"`
}

type labServerJSON struct {
	Column  string `json:"column"`
	Name    string `json:"name"`
	Release string `json:"release,omitempty"`
	Tickets string `json:"tickets"`
}

type labClientJSON struct {
	ID      string `json:"id"`
	Release string `json:"release,omitempty"`
	Does    string `json:"does"`
	Real    bool   `json:"real"`
}

type labAbsentJSON struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Broken bool   `json:"broken"`
}

type labCellJSON struct {
	Client    string                `json:"client"`
	Column    string                `json:"column"`
	Outcome   string                `json:"outcome"`
	Plaintext bool                  `json:"plaintext"`
	Return    string                `json:"return"`
	Why       string                `json:"why,omitempty"`
	Handshake *handshake.Transcript `json:"handshake,omitempty"`
	Second    *handshake.Transcript `json:"second,omitempty"`
}

func labRow(m *clientsim.Matrix) labJSON {
	row := labJSON{
		Version: labVersion, Time: m.Start.UTC(), Took: m.Took.Seconds(), Finding: m.Finding(),
		Servers: []labServerJSON{}, Cells: []labCellJSON{},
		Clients: each(m.Clients, func(c clientsim.Client) labClientJSON { return labClientJSON{c.Name, c.Version, c.Does, c.Real} }),
		Absent:  each(m.Absent, func(a clientsim.Absence) labAbsentJSON { return labAbsentJSON(a) }),
	}
	for i, s := range m.Servers {
		row.Servers = append(row.Servers, labServerJSON{clientsim.Column(i), s.Name, s.Version, s.Order.String()})
		for j, c := range s.Cells {
			row.Cells = append(row.Cells, labCellJSON{
				m.Clients[j].Name, clientsim.Column(i), c.Outcome.String(), c.Plaintext, c.Return.String(), c.Why, c.First, c.Second,
			})
		}
	}
	return row
}
