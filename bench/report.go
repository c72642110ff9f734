package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// A report has all results of a run.
type report struct {
	plan    plan
	load    string // load average before the run
	started time.Time
	results []*result
}

func newReport(p plan) *report {
	load, _ := os.ReadFile("/proc/loadavg")
	averages := strings.Fields(string(load))
	return &report{plan: p, load: strings.Join(averages[:min(len(averages), 3)], " "), started: time.Now()}
}

func (r *report) add(result *result) { r.results = append(r.results, result) }

// failed reports whether a section could not be measured. A missed target is not a failure.
func (r *report) failed() bool {
	for _, result := range r.results {
		if result.err != nil {
			return true
		}
	}
	return false
}

// preface explains what all figures have in common.
const preface = `# Results

Written by ` + "`go run ./bench`" + `. [PROFILE.md](PROFILE.md) explains, from profiles, the targets that are missed or nearly
missed. Compare figures within one run only: they vary with the machine and the day.

Load generator and servers share this machine's cores, so the generator's work is part of every figure, the same for
each server. The generator is bench/load: crypto/tls, one goroutine a connection, MAIL, RCPT and DATA in one write if
the server offers PIPELINING, and QUIT with the last message's final dot, as Postfix sends them. Messages have 4 KiB.
Every connection does STARTTLS with TLS 1.3 and X25519, since the OpenSSL of Postfix and nginx here has no newer
group, and all servers have the same ECDSA P-256 certificate. "Resumed" connections offer the ticket of the one
before, and all of them must resume; "fresh" ones offer none and still receive one. An unexpected reply ends the
section with an error.

Beside each rate is the server's CPU time for a message, user and system, of all its processes: with one message a
connection that is the CPU time of a connection. It says more than the rate, which depends on what else the cores do.
The floor is bench/floor: the same dialogue with crypto/tls alone, with as few reads and writes as it needs, and
without checks, limits, deadlines, log or observation.

Each server is a process of its own. All of them run at the same time and are measured in turns, round by round. Rates
are medians of the rounds; ratios are medians of each round's ratio. Postern runs with its defaults (it logs each
session), except that its limits for a network are raised, since all load comes from 127.0.0.1. Postfix runs with its
defaults except for ` + "`in_flow_delay = 0`" + `, which is faster, and without DNS. nginx runs with its defaults and TLS 1.3
enabled.
`

// markdown returns the report.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(preface)
	fmt.Fprintf(&b, "\n%s, %d rounds of %v, %v in all. Load average before it: %s.\n\n",
		r.started.UTC().Format("2 January 2006"), r.plan.rounds, r.plan.time, time.Since(r.started).Round(time.Second), r.load)
	writeTable(&b, []string{"what", "version or size"}, environment())
	r.writeGoals(&b)
	for _, result := range r.results {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", result.section.title, result.section.text)
		if result.err != nil {
			fmt.Fprintf(&b, "**Incomplete:** %v\n\n", result.err)
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

// A result is what a section measured: a table, and which targets it meets.
type result struct {
	section section
	columns []string
	rows    [][]string
	goals   []goal
	err     error
}

// A goal is a figure with its target.
type goal struct {
	what      string
	got, want string
	met       bool
}

func (r *result) header(columns ...string) { r.columns = columns }

func (r *result) row(values ...any) {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	r.rows = append(r.rows, cells)
}

// cells returns a row that begins with the pattern.
func (p pattern) cells(values ...any) []any {
	return append([]any{p.senders, p.messages, p.handshake()}, values...)
}

// String returns the pattern for a goal.
func (p pattern) String() string {
	return fmt.Sprintf("%d at once, %d a connection, %s", p.senders, p.messages, p.handshake())
}

func (r *result) atLeast(what string, got, want factor) {
	r.goals = append(r.goals, goal{what, cell(got), "≥ " + cell(want), got >= want})
}

func atMost[N ~int64 | ~float64](r *result, what string, got, want N) {
	r.goals = append(r.goals, goal{what, cell(got), "≤ " + cell(want), got <= want})
}

// Units of figures.
type (
	perSecond float64
	factor    float64
	average   float64 // of a count
	bytes     int64
	percent   float64
)

// A rateAndCPU is a rate of messages and the server's CPU time for each.
type rateAndCPU struct {
	rate perSecond
	cpu  time.Duration
}

// cell returns a value with its unit.
func cell(v any) string {
	switch v := v.(type) {
	case perSecond:
		return fmt.Sprintf("%.0f/s", float64(v))
	case rateAndCPU:
		return cell(v.rate) + ", " + cell(v.cpu)
	case percent:
		return fmt.Sprintf("%.1f %%", float64(v))
	case factor:
		return fmt.Sprintf("%.2f×", float64(v))
	case average:
		return fmt.Sprintf("%.2f", float64(v))
	case bytes:
		return v.String()
	case time.Duration:
		return fmt.Sprintf("%.0f µs", float64(v)/float64(time.Microsecond))
	}
	return fmt.Sprint(v)
}

// String returns b in KiB or MiB.
func (b bytes) String() string {
	if b >= 1<<20 || b <= -1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(b)/(1<<10))
}

// environment returns rows that describe the machine and the programs.
func environment() [][]string {
	return [][]string{
		{"processor", fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", `(?m)^model name\s*: (.*)$`))},
		{"memory", field("/proc/meminfo", `(?m)^MemTotal:\s*(.*)$`)},
		{"kernel", field("/proc/sys/kernel/osrelease", `(\S+)`)},
		{"file system", output(`(\S+)\s*$`, "findmnt", "--noheadings", "--output=FSTYPE", "--target", os.TempDir())},
		{"Go", runtime.Version()},
		{"Postern", revision()},
		{"go-smtp", output(`go-smtp (\S+)`, "go", "list", "-m", "github.com/emersion/go-smtp")},
		{"Postfix", output(`(\S+)`, "postconf", "-d", "-h", "mail_version")},
		{"nginx", output(`nginx/(\S+)`, "nginx", "-v")},
		{"OpenSSL", output(`OpenSSL (\S+)`, "openssl", "version")},
	}
}

// revision returns the commit that Postern is built from, and whether files differ from it.
func revision() string {
	commit := output(`(\S+)`, "git", "rev-parse", "--short=12", "HEAD")
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", "cmd", "internal", "sessionticket", "go.mod").Run() != nil {
		return commit + ", with changes"
	}
	return commit
}

func field(path, pattern string) string {
	text, _ := os.ReadFile(path)
	return match(pattern, text)
}

// output runs a program and returns the first submatch of pattern in its output.
func output(pattern string, command ...string) string {
	text, _ := exec.Command(command[0], command[1:]...).CombinedOutput()
	return match(pattern, text)
}

func match(pattern string, text []byte) string {
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		return "unknown"
	}
	return string(found[1])
}
