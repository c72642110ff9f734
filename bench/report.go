package main

import (
	"fmt"
	"strings"
	"time"
)

// report is all results of a run.
type report struct {
	plan    plan
	machine machine
	started time.Time
	results []*result
}

func newReport(p plan) *report {
	return &report{plan: p, machine: examineMachine(), started: time.Now()}
}

func (r *report) add(result *result) { r.results = append(r.results, result) }

// failed reports whether a section could not be measured. A target missed is
// no failure.
func (r *report) failed() bool {
	for _, result := range r.results {
		if result.err != nil {
			return true
		}
	}
	return false
}

// preface says what all figures have in common.
const preface = `# Results

Written by ` + "`go run ./bench`" + `. What profiles say of targets that are missed or near stands in [PROFILE.md](PROFILE.md). Compare figures within one run only: they move from machine to machine, and from day to day.

Load generator and server share this machine's cores, so the generator's own work is in every figure, the same for each
server. It is bench/load: crypto/tls, one goroutine a connection, MAIL, RCPT and DATA in one write where the server offers
PIPELINING, QUIT with the last message's dot, as Postfix sends. Messages have 4 KiB. Every connection does STARTTLS with
TLS 1.3 and X25519, since the OpenSSL of Postfix and nginx here knows no newer group, and shows the server the same ECDSA
P-256 certificate. "Resumed" connections bring the ticket of the one before, and all of them must have resumed; "fresh"
ones bring none and still are given one. Any other reply than the one hoped for ends the section with an error.

Each server is a process of its own and all are there at the same time; they take turns, round by round. Rates are
medians of the rounds; ratios are those of each round, and their median. Postern runs with its defaults (it logs each session), but
its limits for a network are raised, since all load comes from 127.0.0.1. Postfix runs with its defaults but for
` + "`in_flow_delay = 0`" + `, which is faster, and without DNS. nginx runs with its defaults, TLS 1.3 switched on.
`

// markdown writes the report.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(preface)
	fmt.Fprintf(&b, "\n%s, %d rounds of %v, %v in all. Load average before it: %s.\n\n",
		r.started.UTC().Format("2 January 2006"), r.plan.rounds, r.plan.time, time.Since(r.started).Round(time.Second), r.machine.load)
	writeTable(&b, []string{"what", "version or size"}, r.machine.rows())
	r.writeGoals(&b)
	for _, result := range r.results {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", result.section.title, result.section.text)
		if result.err != nil {
			fmt.Fprintf(&b, "**Not measured to the end:** %v\n\n", result.err)
		}
		writeTable(&b, result.columns, result.rows)
	}
	return b.String()
}

func (r *report) writeGoals(b *strings.Builder) {
	var rows [][]string
	met := 0
	for _, result := range r.results {
		for _, g := range result.goals {
			verdict := "**missed**"
			if g.met {
				verdict = "met"
				met++
			}
			rows = append(rows, []string{g.what, g.got, g.want, verdict})
		}
	}
	fmt.Fprintf(b, "\n## Targets\n\n%d of %d met.\n\n", met, len(rows))
	writeTable(b, []string{"what", "measured", "target", ""}, rows)
}

func writeTable(b *strings.Builder, columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	writeRow(b, columns)
	writeRow(b, strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ","))
	for _, row := range rows {
		writeRow(b, row)
	}
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}
