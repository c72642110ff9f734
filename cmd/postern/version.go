package main

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/buildinfo"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/terminal"
	"postern/sessionticket"
)

// versionCmd prints which build this is, and what it can do.
type versionCmd struct {
	JSON bool `help:"Print one JSON object; see docs/json.md."`
}

// Help is called by kong.
func (versionCmd) Help() string {
	return `Prints the version, the commit it was built from and whether files differed from that, the version of Go, whose crypto/tls it uses, the TLS modes that senders can have, and the schema of the ledger, to which the server migrates an older one.`
}

// Run is called by kong.
func (v versionCmd) Run(ui terminal.UI) error {
	build := buildinfo.Read()
	if v.JSON {
		return ui.JSON(jsonout.NewVersion(build, modes(), ledger.Schema()))
	}
	ui.Paragraph("version", build.Version)
	ui.Paragraph("commit", commitText(build))
	ui.Paragraph("Go", build.Go+", "+build.System)
	ui.Paragraph("TLS modes", strings.Join(modes(), ", "))
	ui.Paragraph("ledger", fmt.Sprintf("schema %d", ledger.Schema()))
	return nil
}

func commitText(b buildinfo.Build) string {
	if b.Commit == "" {
		return "unknown: it was not built in a clone"
	}
	text := b.Commit + ", " + b.Committed.UTC().Format(time.DateOnly)
	if b.Modified {
		text += ", with changes that are not committed"
	}
	return text
}

// modes are the TLS modes of this version, the default first.
func modes() (all []string) {
	for m := sessionticket.OwnWrite; m <= sessionticket.Stock; m++ {
		all = append(all, m.String())
	}
	return all
}
