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

// result is what a section found: a table, and what of it was aimed at.
type result struct {
	section section
	columns []string
	rows    [][]string
	goals   []goal
	err     error
}

// goal is a figure with its target.
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

// cells begin a row with the pattern.
func (p pattern) cells(values ...any) []any {
	return append([]any{p.senders, p.messages, p.handshake()}, values...)
}

// String names the pattern within a goal.
func (p pattern) String() string {
	return fmt.Sprintf("%d at once, %d a connection, %s", p.senders, p.messages, p.handshake())
}

// number is a figure that can be aimed at.
type number interface {
	~int64 | ~float64
}

func (r *result) atLeast(what string, got, want factor) {
	r.goals = append(r.goals, goal{what, cell(got), "≥ " + cell(want), got >= want})
}

// atMost is for all kinds of figures.
func atMost[N number](r *result, what string, got, want N) {
	r.goals = append(r.goals, goal{what, cell(got), "≤ " + cell(want), got <= want})
}

// Units of figures.
type (
	perSecond float64
	factor    float64
	bytes     int64
	percent   float64
)

// cell writes a value with its unit.
func cell(v any) string {
	switch v := v.(type) {
	case perSecond:
		return fmt.Sprintf("%.0f/s", float64(v))
	case percent:
		return fmt.Sprintf("%.1f %%", float64(v))
	case factor:
		return fmt.Sprintf("%.2f×", float64(v))
	case bytes:
		return v.String()
	case time.Duration:
		return fmt.Sprintf("%.0f µs", float64(v)/float64(time.Microsecond))
	}
	return fmt.Sprint(v)
}

// String writes b in KiB or MiB.
func (b bytes) String() string {
	if b >= 1<<20 || b <= -1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(b)/(1<<10))
}

// machine is what the figures were measured on and with.
type machine struct {
	load  string
	parts [][2]string
}

func (m machine) rows() [][]string {
	rows := make([][]string, len(m.parts))
	for i, part := range m.parts {
		rows[i] = part[:]
	}
	return rows
}

func examineMachine() machine {
	load, _ := os.ReadFile("/proc/loadavg")
	return machine{
		load: strings.Join(first(strings.Fields(string(load)), 3), " "),
		parts: [][2]string{
			{"processor", fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", `(?m)^model name\s*: (.*)$`))},
			{"memory", field("/proc/meminfo", `(?m)^MemTotal:\s*(.*)$`)},
			{"kernel", field("/proc/sys/kernel/osrelease", `(\S+)`)},
			{"file system", says(`(\S+)\s*$`, "findmnt", "--noheadings", "--output=FSTYPE", "--target", os.TempDir())},
			{"Go", runtime.Version()},
			{"Postern", revision()},
			{"go-smtp", says(`go-smtp (\S+)`, "go", "list", "-m", "github.com/emersion/go-smtp")},
			{"Postfix", says(`(\S+)`, "postconf", "-d", "-h", "mail_version")},
			{"nginx", says(`nginx/(\S+)`, "nginx", "-v")},
			{"OpenSSL", says(`OpenSSL (\S+)`, "openssl", "version")},
		},
	}
}

// revision is the commit that Postern was built from, and whether files differ from it.
func revision() string {
	commit := says(`(\S+)`, "git", "rev-parse", "--short=12", "HEAD")
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", "cmd", "internal", "sessionticket", "go.mod").Run() != nil {
		return commit + ", with changes"
	}
	return commit
}

func field(path, pattern string) string {
	text, _ := os.ReadFile(path)
	return match(pattern, text)
}

// says runs a program and finds in its output what it says of itself.
func says(pattern string, command ...string) string {
	cmd := exec.Command(command[0], command[1:]...)
	output, _ := cmd.CombinedOutput() // without output it is not known
	return match(pattern, output)
}

func match(pattern string, text []byte) string {
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		return "not known"
	}
	return string(found[1])
}

func first(words []string, n int) []string { return words[:min(n, len(words))] }
