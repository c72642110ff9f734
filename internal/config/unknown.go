package config

import (
	"fmt"
	"strings"
)

// unknown is the problem of a key that there is not, with the key that was
// perhaps meant.
func (c *Config) unknown(key string) *Problem {
	problem := &Problem{What: "unknown key", Remedy: "see deploy/postern.toml for all keys"}
	_, last, inTable := cutLast(key, ".")
	best := 3 // slips, at most
	for _, f := range append(c.fields(), field{key: "certificate"}) {
		table, name, _ := cutLast(f.key, ".")
		switch {
		case strings.HasPrefix(f.key, key+"."):
			return &Problem{What: "is a table, not a value", Remedy: fmt.Sprintf("write its keys below [%s]", key)}
		case f.key == key: // certificate is no field of its own
			return &Problem{What: "is a list of tables", Remedy: "write cert and key below [[certificate]]"}
		case name == last && table != "":
			problem.Remedy = fmt.Sprintf("write it below [%s]", table)
			best = 0
		case name == last && inTable:
			problem.Remedy = fmt.Sprintf("write %s at the top of the file, before any [table]", name)
			best = 0
		}
		for _, near := range []string{f.key, table} {
			if d := distance(key, near); near != "" && d < best {
				problem.Remedy = fmt.Sprintf("did you mean %s?", near)
				best = d
			}
		}
	}
	return problem
}

// cutLast is strings.Cut at the last sep; without any, all is behind it.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// distance is the number of bytes to insert, delete or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
