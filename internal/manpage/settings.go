package manpage

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The configuration file: the name of its page, and where it is.
const (
	settingsName = "postern.toml"
	settingsFile = "/etc/postern/postern.toml"
)

// A table is a table of the configuration file.
type table struct {
	name     string // with its brackets; empty for the settings before the first table
	about    string
	settings []definition
}

var (
	tableLine   = regexp.MustCompile(`^#?(\[\[?[a-z.-]+\]\]?)$`)
	settingLine = regexp.MustCompile(`^#?([a-z][a-z0-9-]* = .+)$`)
)

// parseSettings reads the file that explains every key: comments, which begin with "# ", and
// below them a table or a key, commented out by "#" alone.
func parseSettings(file string) ([]table, error) {
	all := []table{{}}
	comment := ""
	for i, line := range strings.Split(strings.TrimSpace(file), "\n") {
		now := &all[len(all)-1]
		text, isComment := strings.CutPrefix(line, "# ")
		switch {
		case isComment || line == "#":
			comment += strings.TrimPrefix(text, "#") + "\n"
			continue
		case line == "" && now.name == "" && now.settings == nil: // below the preamble
			now.about += comment + "\n"
		case line == "" && comment == "":
		case tableLine.MatchString(line):
			all = append(all, table{name: tableLine.FindStringSubmatch(line)[1], about: comment})
		case settingLine.MatchString(line):
			term := "Ic " + argument(settingLine.FindStringSubmatch(line)[1])
			now.settings = append(now.settings, definition{term, blocks(comment)})
		default:
			return nil, fmt.Errorf("line %d: want a comment, a table or a key, right below the comment about it: %q", i+1, line)
		}
		comment = ""
	}
	return all, nil
}

// Settings returns the page postern.toml.5 from the text of the configuration file that
// explains every key. It returns an error for a line that is neither a comment, nor a table, nor
// a key.
func Settings(file string, date time.Time) (string, error) {
	all, err := parseSettings(file)
	if err != nil {
		return "", err
	}
	p := newPage(settingsName, 5, "configuration of Postern", date)
	p.line(".Sh DESCRIPTION")
	p.blocks(blocks(all[0].about), false)
	p.line(".Sh SETTINGS")
	for i, t := range all {
		if i > 0 {
			p.line(".Ss " + argument(t.name))
			p.blocks(blocks(t.about), false)
		}
		if t.settings != nil {
			p.list(t.settings)
		}
	}
	p.line(".Sh FILES")
	p.list([]definition{{"Pa " + settingsFile, blocks("The file that is read if none is named.")}})
	p.seeAlso(settingsName+" 5", "postern 1", "postern-serve 1")
	return p.String(), nil
}
