package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// A probeScreen prints reports: the worst findings first, then the senders, then what
// is OK.
type probeScreen struct {
	terminal.UI
	verbose bool
}

func (s probeScreen) report(r *probe.Report) {
	target := safetext.Printable(r.Target)
	if r.Domain != "" {
		target += ": " + plural(len(r.Hosts), "MX host", "MX hosts")
	}
	fmt.Fprintf(s.Out, "%s: %s, %.1f s\n", target, severityCounts(r.AllFindings()), r.Duration.Round(100*time.Millisecond).Seconds())
	s.findings(r.Findings)
	s.ok(r.Findings)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			fmt.Fprintln(s.Out)
			s.address(h, a)
		}
	}
}

// severityCounts counts the problems.
func severityCounts(findings []probe.Finding) string {
	var parts []string
	for _, part := range []struct {
		severity  probe.Severity
		one, many string
	}{{probe.Critical, "critical finding", "critical findings"}, {probe.Warning, "warning", "warnings"}, {probe.Unclear, "inconclusive check", "inconclusive checks"}} {
		if n := count(findings, part.severity) - count(findings, part.severity+1); n > 0 {
			parts = append(parts, plural(n, part.one, part.many))
		}
	}
	if parts == nil {
		return noProblems
	}
	return strings.Join(parts, ", ")
}

// noProblems sums up findings that need no action.
const noProblems = "no problems"

func (s probeScreen) address(h *probe.Host, a *probe.Address) {
	line := fmt.Sprintf("== %s  %s", safetext.Printable(h.Name), a.Addr)
	if a.Software.Name != "" {
		line += fmt.Sprintf("  %s (%s)", a.Software, a.Software.Confidence)
	}
	fmt.Fprintln(s.Out, line)
	if s.verbose {
		for _, clue := range a.Software.Clues {
			s.Paragraph("known by", clue)
		}
	}
	s.findings(a.Findings)
	s.senders(a)
	s.ok(a.Findings)
}

// findings prints the problems with evidence and advice, then notices, a line each.
func (s probeScreen) findings(all []probe.Finding) {
	for _, f := range all {
		if f.Severity >= probe.Unclear || f.Severity == probe.Notice && s.verbose {
			fmt.Fprintln(s.Out)
			s.finding(f)
		}
	}
	s.notices(all)
}

func (s probeScreen) finding(f probe.Finding) {
	label := f.Severity.String()
	title := f.Title
	switch {
	case f.Severity >= probe.Warning:
		label = strings.ToUpper(label)
	case f.Accepted > 0:
		label, title = "accepted", acceptedTitle(f)
	}
	s.Paragraph(label, title)
	s.evidence(f)
	for _, a := range f.Advice {
		s.Paragraph("do", a.Software+": "+a.Action)
	}
	s.Paragraph("id", f.ID)
	if !s.verbose {
		if f.Case != nil {
			s.Paragraph("more", "postern cases show "+f.Case.ID)
		}
		return
	}
	for _, url := range f.Sources {
		s.Paragraph("source", url)
	}
	if f.Transcript != nil {
		fmt.Fprintf(s.Out, "\n%s", f.Transcript.Diagram(handshake.DiagramOptions{Location: time.Local}))
	}
}

func acceptedTitle(f probe.Finding) string {
	return fmt.Sprintf("%s (%s, id %s)", f.Title, f.Accepted, f.ID)
}

func (s probeScreen) notices(all []probe.Finding) {
	if s.verbose {
		return
	}
	first := true
	for _, f := range all {
		if f.Severity != probe.Notice {
			continue
		}
		if first {
			fmt.Fprintln(s.Out)
			first = false
		}
		if f.Accepted > 0 {
			s.Paragraph("accepted", acceptedTitle(f))
			continue
		}
		s.Paragraph("notice", f.Title)
	}
}

// listPersonas prints the values of --as.
func listPersonas(ui terminal.UI) {
	for _, p := range persona.All() {
		fmt.Fprintf(ui.Out, "%-24s  %s\n", p.ID, p.Does)
	}
}

// outcomeWords are the first column of the table of senders.
var outcomeWords = map[probe.Outcome]string{probe.Completed: "completes", probe.Failed: "fails", probe.Refused: "refused", probe.Inconclusive: "?"}

// senders prints a line for each sender. A failure is in upper case if it is a problem.
func (s probeScreen) senders(a *probe.Address) {
	if len(a.Runs) > 0 {
		fmt.Fprintln(s.Out)
	}
	for _, v := range a.Runs {
		word := outcomeWords[v.Outcome]
		if v.Outcome == probe.Failed && isProblem(a.Findings, v.Persona.ID) {
			word = strings.ToUpper(word)
		}
		const id = 25
		fmt.Fprintf(s.Out, "%-*s%-*s%s\n", terminal.Margin, word, id, v.Persona.ID, safetext.Shorten(v.Persona.Does, terminal.Columns-terminal.Margin-id))
	}
}

func isProblem(findings []probe.Finding, id string) bool {
	return slices.ContainsFunc(findings, func(f probe.Finding) bool { return f.ID == id && f.Severity >= probe.Warning })
}

// ok prints what needs no action, as sentences, or one by one with evidence.
func (s probeScreen) ok(all []probe.Finding) {
	var titles []string
	for _, f := range all {
		if f.Severity == probe.OK {
			titles = append(titles, f.Title)
		}
	}
	if titles == nil {
		return
	}
	fmt.Fprintln(s.Out)
	if !s.verbose {
		s.Paragraph("ok", strings.Join(titles, ". ")+".")
		return
	}
	for _, f := range all {
		if f.Severity == probe.OK {
			s.Paragraph("ok", f.Title)
			s.evidence(f)
		}
	}
}

func (s probeScreen) evidence(f probe.Finding) {
	for _, e := range f.Evidence {
		s.Paragraph("evidence", safetext.Printable(e))
	}
}

// stateWords are the states of monitoring plugins.
var stateWords = map[probe.Severity]string{
	probe.OK: "OK", probe.Notice: "OK", probe.Unclear: "UNKNOWN", probe.Warning: "WARNING", probe.Critical: "CRITICAL",
}

// checkLine is the output of a monitoring plugin: state, worst finding, and
// performance data after a bar.
func checkLine(target string, result probed) string {
	if result.err != nil {
		return fmt.Sprintf("UNKNOWN %s: %s", safetext.Printable(target), withoutBar(result.err.Error()))
	}
	findings := result.report.AllFindings()
	text := noProblems
	if worst := findings[0]; worst.Severity > probe.Notice {
		text = worst.Title
		if more := count(findings, probe.Unclear) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	return fmt.Sprintf("%s %s: %s | %s", stateWords[result.report.Severity()], safetext.Printable(target), withoutBar(text), performanceData(result.report))
}

func withoutBar(s string) string { return strings.ReplaceAll(safetext.Printable(s), "|", "/") }

// count returns how many findings are at least this severe.
func count(findings []probe.Finding, least probe.Severity) (n int) {
	for _, f := range findings {
		if f.Severity >= least {
			n++
		}
	}
	return n
}

// performanceData has the form label=value[unit].
func performanceData(r *probe.Report) string {
	completed, failed, inconclusive := 0, 0, 0
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			for _, v := range a.Runs {
				switch v.Outcome {
				case probe.Failed:
					failed++
				case probe.Inconclusive:
					inconclusive++
				default:
					completed++
				}
			}
		}
	}
	findings := r.AllFindings()
	critical := count(findings, probe.Critical)
	return fmt.Sprintf("critical=%d warnings=%d completed=%d failed=%d inconclusive=%d time=%.3fs",
		critical, count(findings, probe.Warning)-critical, completed, failed, inconclusive, r.Duration.Round(time.Millisecond).Seconds())
}

// A probeStatus is the exit status over all targets.
type probeStatus struct {
	worst probe.Severity
	usage bool
}

func (s *probeStatus) note(r probed) {
	switch {
	case r.err == nil:
		s.worst = max(s.worst, r.report.Severity())
	case errors.Is(r.err, probe.ErrTarget):
		s.usage = true
	default:
		s.worst = max(s.worst, probe.Unclear)
	}
}

// usual returns the exit status of the package comment.
func (s *probeStatus) usual() error {
	switch {
	case s.usage:
		return terminal.ExitUsage
	case s.worst >= probe.Warning:
		return terminal.ExitFailed
	case s.worst == probe.Unclear:
		return terminal.ExitUnclear
	}
	return nil
}

// monitoring returns the exit status of a monitoring plugin.
func (s *probeStatus) monitoring() error {
	if s.usage {
		return terminal.ExitStatus(3)
	}
	if status := cmp.Or(map[probe.Severity]int{probe.Warning: 1, probe.Critical: 2, probe.Unclear: 3}[s.worst], 0); status > 0 {
		return terminal.ExitStatus(status)
	}
	return nil
}

// probeProgress counts the senders that are done, at all addresses so far.
type probeProgress struct {
	shown *terminal.Progress

	mu        sync.Mutex
	addresses map[netip.AddrPort]struct{ done, all int }
}

// count is [probe.Prober.Progress].
func (p *probeProgress) count(addr netip.AddrPort, done, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.addresses[addr]; done > known.done { // calls may come in any order
		p.addresses[addr] = struct{ done, all int }{done, all}
	}
	done, all = 0, 0
	for _, a := range p.addresses {
		done, all = done+a.done, all+a.all
	}
	where := addr.String()
	if n := len(p.addresses); n > 1 {
		where = fmt.Sprintf("%d addresses", n)
	}
	p.shown.Set(fmt.Sprintf("postern: probing %s, %d of %d senders done", where, done, all))
}
