package clientsim

import (
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/probe"
)

// A Matrix is what became of each client at each server.
type Matrix struct {
	Start   time.Time
	Took    time.Duration
	Clients []Client // the rows
	Servers []Server // the columns
	Absent  []Absence
}

// A Client is a row.
type Client struct {
	Name    string // of a persona its ID
	Version string // of a real client; empty: not known
	Real    bool   // a program of others
	Does    string // in a line without a full stop
}

// Title is the client's name and version.
func (c Client) Title() string { return strings.TrimSpace(c.Name + " " + c.Version) }

// A Server is a column.
type Server struct {
	Name    string
	Version string // empty: not known
	Order   Order
	Cells   []Cell // in the order of the clients
}

// Title is the server's name and version.
func (s Server) Title() string { return strings.TrimSpace(s.Name + " " + s.Version) }

// An Absence is a server or a client that is not in the matrix.
type Absence struct {
	Name   string
	Why    string
	Broken bool // it is here, and did not start
}

// A Cell is what became of a client at a server.
type Cell struct {
	Fate      probe.Fate
	Plaintext bool   // it failed, came back without TLS, and was heard
	Return    Return // what came of its second visit
	Why       string // why it is not in; nothing in it moves a terminal's cursor

	// First and Second are the handshakes of its visits; nil where it did not come to one.
	First, Second *handshake.Transcript
}

func (c Cell) in() bool { return c.Fate == probe.In }

// settle takes back what failures seem to say.
func settle(cells []Cell) {
	for i := range cells {
		if cells[i].Fate == probe.Out {
			cells[i].Fate = probe.Untold
		}
	}
}

// Return is what came of the visit with a session.
type Return uint8

// The returns.
const (
	NoSession Return = iota // there was none to offer
	Full                    // it got in with a full handshake
	Resumed                 // it resumed
	Lost                    // it did not get in
)

// String returns "no-session", "full", "resumed" or "lost".
func (r Return) String() string {
	return [...]string{"no-session", "full", "resumed", "lost"}[min(r, Lost)]
}

// Incomplete reports that something could not be told, or did not start.
func (m *Matrix) Incomplete() bool {
	for _, a := range m.Absent {
		if a.Broken {
			return true
		}
	}
	for _, s := range m.Servers {
		for _, c := range s.Cells {
			if c.Fate == probe.Untold {
				return true
			}
		}
	}
	return false
}
