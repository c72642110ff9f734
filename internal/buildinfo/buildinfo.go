// Package buildinfo says which build of the program is running.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"time"
)

// A Build is what the go command noted when it built the program.
type Build struct {
	Version   string    // of the module, such as v0.1.0; "(unknown)" or "(devel)" without one
	Commit    string    // empty if it was not built in a clone
	Committed time.Time // of Commit; zero without one
	Modified  bool      // files in the clone differed from Commit
	Go        string    // such as go1.26.0
	System    string    // such as linux/amd64
}

// Read returns the build that is running.
func Read() Build {
	b := Build{Version: "(unknown)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	noted, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = noted.Main.Version
	for _, setting := range noted.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Committed, _ = time.Parse(time.RFC3339, setting.Value)
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

// String returns one line: version, commit, Go version and system.
func (b Build) String() string {
	line := b.Version
	if b.Commit != "" {
		line += " " + b.Commit
	}
	return line + " " + b.Go + " " + b.System
}
