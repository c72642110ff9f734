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
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// A probeScreen shows reports to a person: what is worst first, then who gets in,
// then what is fine.
type probeScreen struct {
	terminal.UI
	verbose bool
}

func (s probeScreen) report(r *probe.Report) {
	s.head(r)
	s.findings(r.Findings)
	s.fine(r.Findings)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			fmt.Fprintln(s.Out)
			s.address(h, a)
		}
	}
}

func (s probeScreen) head(r *probe.Report) {
	what := safetext.Printable(r.Target)
	if r.Domain != "" {
		what += ": " + number(len(r.Hosts), "MX host", "MX hosts")
	}
	fmt.Fprintf(s.Out, "%s: %s, %.1f s\n", what, verdict(r.AllFindings()), r.Duration.Round(100*time.Millisecond).Seconds())
}

// verdict counts what there is to do.
func verdict(findings []probe.Finding) string {
	var parts []string
	for _, part := range []struct {
		severity  probe.Severity
		one, many string
	}{{probe.Critical, "critical finding", "critical findings"}, {probe.Warning, "warning", "warnings"}, {probe.Unclear, "thing that could not be told", "things that could not be told"}} {
		if n := count(findings, part.severity) - count(findings, part.severity+1); n > 0 {
			parts = append(parts, number(n, part.one, part.many))
		}
	}
	if parts == nil {
		return "nothing to mend"
	}
	return strings.Join(parts, ", ")
}

// number counts things: one of many, "2 warnings".
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

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
	s.visits(a)
	s.fine(a.Findings)
}

// findings tells all but those that are fine: the grave ones with what was seen and
// what to do, notices in a line each.
func (s probeScreen) findings(all []probe.Finding) {
	for _, f := range all {
		switch {
		case f.Severity >= probe.Unclear || f.Severity == probe.Notice && s.verbose:
			fmt.Fprintln(s.Out)
			s.finding(f)
		}
	}
	s.notices(all)
}

func (s probeScreen) finding(f probe.Finding) {
	label := f.Severity.String()
	if f.Severity >= probe.Warning {
		label = strings.ToUpper(label)
	}
	s.Paragraph(label, f.Title)
	s.seen(f)
	for _, a := range f.Advice {
		s.Paragraph("do", a.Software+": "+a.Action)
	}
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
		s.Paragraph("notice", f.Title)
	}
}

// outcomeWords are what stands before a sender.
var outcomeWords = map[probe.Outcome]string{probe.Completed: "completes", probe.Failed: "fails", probe.Refused: "refused", probe.Inconclusive: "?"}

// visits has a line for each sender. Who is loud about it is one that should get in.
func (s probeScreen) visits(a *probe.Address) {
	if len(a.Runs) > 0 {
		fmt.Fprintln(s.Out)
	}
	for _, v := range a.Runs {
		word := outcomeWords[v.Outcome]
		if v.Outcome == probe.Failed && grave(a.Findings, v.Persona.ID) {
			word = strings.ToUpper(word)
		}
		const id = 25
		fmt.Fprintf(s.Out, "%-*s%-*s%s\n", terminal.Margin, word, id, v.Persona.ID, safetext.Shorten(v.Persona.Does, terminal.Columns-terminal.Margin-id))
	}
}

func grave(findings []probe.Finding, id string) bool {
	return slices.ContainsFunc(findings, func(f probe.Finding) bool { return f.ID == id && f.Severity >= probe.Warning })
}

// fine tells what is as it should be, in a sentence, or one by one with what was seen.
func (s probeScreen) fine(all []probe.Finding) {
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
		s.Paragraph("ok", strings.Join(titles, "; ")+".")
		return
	}
	for _, f := range all {
		if f.Severity == probe.OK {
			s.Paragraph("ok", f.Title)
			s.seen(f)
		}
	}
}

func (s probeScreen) seen(f probe.Finding) {
	for _, seen := range f.Evidence {
		s.Paragraph("seen", safetext.Printable(seen))
	}
}

// stateWords are what monitoring systems call the states.
var stateWords = map[probe.Severity]string{
	probe.OK: "OK", probe.Notice: "OK", probe.Unclear: "UNKNOWN", probe.Warning: "WARNING", probe.Critical: "CRITICAL",
}

// checkLine says all in one line: the state, the worst finding, and behind a bar the
// figures as monitoring plugins give them.
func checkLine(target string, result probed) string {
	if result.err != nil {
		return fmt.Sprintf("UNKNOWN %s: %s", safetext.Printable(target), withoutBar(result.err.Error()))
	}
	findings := result.report.AllFindings()
	said := "nothing to mend"
	if worst := findings[0]; worst.Severity > probe.Notice {
		said = worst.Title
		if more := count(findings, probe.Unclear) - 1; more > 0 {
			said += fmt.Sprintf(" (and %d more)", more)
		}
	}
	return fmt.Sprintf("%s %s: %s | %s", stateWords[result.report.Severity()], safetext.Printable(target), withoutBar(said), figures(result.report))
}

func withoutBar(s string) string { return strings.ReplaceAll(safetext.Printable(s), "|", "/") }

// count is how many findings are at least so severe.
func count(findings []probe.Finding, least probe.Severity) (n int) {
	for _, f := range findings {
		if f.Severity >= least {
			n++
		}
	}
	return n
}

// figures are performance data: label=value[unit].
func figures(r *probe.Report) string {
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

// probeStatus gathers the exit status of all targets.
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

// usual is the exit status as in the package comment.
func (s *probeStatus) usual() error {
	switch {
	case s.usage:
		return terminal.ExitStatus(terminal.ExitUsage)
	case s.worst >= probe.Warning:
		return terminal.ExitStatus(terminal.ExitFailed)
	case s.worst == probe.Unclear:
		return terminal.ExitStatus(terminal.ExitUnclear)
	}
	return nil
}

// monitoring is the exit status that plugins of monitoring systems have.
func (s *probeStatus) monitoring() error {
	if s.usage {
		return terminal.ExitStatus(3)
	}
	if status := cmp.Or(map[probe.Severity]int{probe.Warning: 1, probe.Critical: 2, probe.Unclear: 3}[s.worst], 0); status > 0 {
		return terminal.ExitStatus(status)
	}
	return nil
}

// probeProgress tells how many visits are over, of all addresses that have been begun.
type probeProgress struct {
	shown *terminal.Progress

	mu        sync.Mutex
	addresses map[netip.AddrPort]struct{ over, all int }
}

// visited is for [probe.Prober.Progress].
func (p *probeProgress) visited(addr netip.AddrPort, over, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.addresses[addr]; over > known.over { // they may come in any order
		p.addresses[addr] = struct{ over, all int }{over, all}
	}
	over, all = 0, 0
	for _, a := range p.addresses {
		over, all = over+a.over, all+a.all
	}
	where := addr.String()
	if n := len(p.addresses); n > 1 {
		where = fmt.Sprintf("%d addresses", n)
	}
	p.shown.Set(fmt.Sprintf("postern: probing %s, %d of %d senders done", where, over, all))
}
