// Command matrix runs the client simulation, and writes how its clients fare with go-smtp
// without the gate: in this program, and in one that is built with the change to crypto/tls.
//
//	matrix            print a line for each client
//	matrix CHANGED    print a page; CHANGED is this program, built with the change
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"postern/internal/clientsim"
)

// patience bounds a simulation that takes seconds.
const patience = 10 * time.Minute

func main() {
	log.SetFlags(0)
	log.SetPrefix("matrix: ")
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, out io.Writer) error {
	cells, err := simulate()
	if err != nil || len(args) == 0 {
		for _, c := range cells {
			fmt.Fprintln(out, c.client, c.mark)
		}
		return err
	}
	output, err := exec.Command(args[0]).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	changed, err := parse(string(output))
	if err != nil {
		return err
	}
	return writePage(out, runtime.Version(), cells, changed)
}

// A cell is the result of a client.
type cell struct {
	client string
	mark   clientsim.Mark
}

// simulate returns the cells of go-smtp without the gate.
func simulate() ([]cell, error) {
	m, err := (&clientsim.Simulation{Timeout: patience}).Run(context.Background())
	switch {
	case err != nil:
		return nil, err
	case m.Missing != nil:
		return nil, fmt.Errorf("%s: %s; scripts/install-peers installs it", m.Missing[0].Name, m.Missing[0].Why)
	case m.Incomplete():
		return nil, errors.New("a client's result is inconclusive: run it again")
	}
	return column(m), nil
}

// column returns the cells of the first server, which is go-smtp without the gate.
func column(m *clientsim.Matrix) (cells []cell) {
	for i, c := range m.Servers[0].Cells {
		cells = append(cells, cell{m.Clients[i].Name, c.Mark()})
	}
	return cells
}

// parse reads the lines that this program prints without arguments.
func parse(output string) (cells []cell, err error) {
	for line := range strings.Lines(output) {
		var c cell
		if _, err := fmt.Sscan(line, &c.client, &c.mark); err != nil {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

const head = `# The clients of the matrix, before and with the change

How the clients of the [matrix](../../interop-matrix.md) fare with go-smtp without the gate: in a program of %s,
and in the same program built with [the change](ticket-after-finished.diff). ` + "`make upstream`" + ` writes this page.

%s

` + "```" + `
                          Go    Go, patched
`

// writePage writes the page; both columns have the same clients.
func writePage(out io.Writer, version string, before, with []cell) error {
	if !slices.EqualFunc(before, with, func(a, b cell) bool { return a.client == b.client }) {
		return errors.New("the two programs have different clients: build both from the same sources")
	}
	var table, legend strings.Builder
	for i, b := range before {
		fmt.Fprintf(&table, "%-26s%-6s%s\n", b.client, b.mark, with[i].mark)
		for _, mark := range []clientsim.Mark{b.mark, with[i].mark} {
			if line := fmt.Sprintf("\n%-13s%s", mark, mark.Means()); !strings.Contains(legend.String(), line) {
				legend.WriteString(line)
			}
		}
	}
	_, err := fmt.Fprintf(out, head+"%s%s\n```\n", version, summary(before, with), table.String(), legend.String())
	return err
}

// summary says which clients differ, and how many resume.
func summary(before, with []cell) string {
	var differ []string
	for i, b := range before {
		if b != with[i] {
			differ = append(differ, "`"+b.client+"`")
		}
	}
	return fmt.Sprintf("These differ: %s. Of %d clients %d resume before, and %d with the change.",
		strings.Join(differ, ", "), len(before), resuming(before), resuming(with))
}

func resuming(cells []cell) (n int) {
	for _, c := range cells {
		if c.mark == clientsim.MarkResumes {
			n++
		}
	}
	return n
}
