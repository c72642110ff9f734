package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"postern/internal/terminal"
)

// exitStatusPage is the page for scripts and monitoring.
const exitStatusPage = "../../docs/exit-status.md"

// The page says what the help of each command says. -update writes it.
func TestExitStatusPage(t *testing.T) {
	model := newParser(terminal.UI{Command: "postern"}).Model
	general := exitStatuses(description)
	if len(general) != 4 {
		t.Fatalf("the help of postern has %d statuses", len(general))
	}
	var page strings.Builder
	page.WriteString(`<!-- Generated from the help of the commands: go test ./cmd/postern -run TestExitStatusPage -update -->

# Exit status

For scripts and monitoring. Unless the second table says otherwise:

| status | means |
| --- | --- |
`)
	for status, meaning := range general {
		fmt.Fprintf(&page, "| %d | %s |\n", status, meaning)
	}
	page.WriteString("\nThese commands have meanings of their own; where a cell is empty, it is the one above:\n\n| command | 0 | 1 | 2 | 3 |\n| --- | --- | --- | --- | --- |\n")
	rows := 0
	for _, node := range model.Leaves(true) {
		if own := exitStatuses(node.Detail); own != nil {
			rows++
			own = append(own, make([]string, len(general)-len(own))...)
			row := fmt.Sprintf("| `%s` | %s |\n", commandPath(node), strings.Join(own, " | "))
			page.WriteString(strings.NewReplacer("|  |  |", "| | |", "|  |", "| |").Replace(row))
		}
	}
	page.WriteString("| `postern status --ready` | the server takes mail | it does not | | |\n" +
		"| `postern probe --check` | OK | warning | critical | unknown |\n\n" +
		"`postern doctor` and `postern probe --check` have those of monitoring plugins (Nagios and compatible systems).\n")
	if rows < 8 {
		t.Errorf("%d commands have statuses of their own", rows)
	}
	if *update && os.Getenv("CI") == "" {
		if err := os.WriteFile(exitStatusPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(exitStatusPage)
	if err != nil {
		t.Fatal(err)
	}
	// make lint wraps lines.
	if strings.Join(strings.Fields(string(got)), " ") != strings.Join(strings.Fields(page.String()), " ") {
		t.Errorf("%s is not what the commands' help says: run this test with -update", exitStatusPage)
	}
}

// exitStatuses returns the meanings in the list of a help, by status; nil if it has none.
func exitStatuses(help string) (meanings []string) {
	_, list, _ := strings.Cut(help, "\nExit status")
	line := regexp.MustCompile(`(?m)^  (\d)  (.*(?:\n     .*)*)`)
	for _, found := range line.FindAllStringSubmatch(list, -1) {
		if found[1] != fmt.Sprint(len(meanings)) {
			panic("the statuses are not in order: " + list)
		}
		meanings = append(meanings, strings.Join(strings.Fields(found[2]), " "))
	}
	return meanings
}

// commandPath is what users type.
func commandPath(node *kong.Node) string {
	return strings.Join(strings.Fields(regexp.MustCompile(`[\[<].*`).ReplaceAllString(node.FullPath(), "")), " ")
}
