package jsonout

import (
	"time"

	"postern/internal/buildinfo"
)

// A Version is a build of Postern.
type Version struct {
	Version   string    `json:"version"`
	Commit    string    `json:"commit,omitempty"`
	Committed time.Time `json:"committed,omitzero"`
	Modified  bool      `json:"modified"`
	Go        string    `json:"go"`
	System    string    `json:"system"`
	Modes     []string  `json:"modes"`
	Ledger    int       `json:"ledger"`
}

// NewVersion returns a build with its TLS modes and the schema of its ledger.
func NewVersion(b buildinfo.Build, modes []string, ledger int) Version {
	return Version{
		Version: b.Version, Commit: b.Commit, Committed: b.Committed.UTC(), Modified: b.Modified,
		Go: b.Go, System: b.System, Modes: modes, Ledger: ledger,
	}
}
