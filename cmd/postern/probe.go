package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"postern/internal/dnssec"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/safetext"
)

// probing is the subcommand that asks servers whom they keep out.
type probing struct {
	Targets   []string      `arg:"" name:"target" help:"A domain, a host, host:port or an address. Repeatable."`
	StartTLS  string        `enum:"smtp,imap,pop3" default:"smtp" name:"starttls" placeholder:"PROTOCOL" help:"What is spoken: smtp (default), imap or pop3, on ports 25, 143 and 110."`
	Implicit  bool          `help:"TLS comes first, on ports 465, 993 and 995."`
	As        []string      `placeholder:"ID" help:"Only as this sender: the left column of the table. Repeatable."`
	Deliver   *letter       `xor:"once" placeholder:"FROM TO" help:"Let the first sender bring one short message, which says that it is a test."`
	Intrusive bool          `help:"With --deliver, try to smuggle a second message in behind a first: see below."`
	Resolver  string        `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	DNSSEC    string        `enum:"ad,validate" default:"ad" name:"dnssec" placeholder:"HOW" help:"Who validates DNSSEC: the DNS server, by its AD bit (ad, default), or this program (validate)."`
	Anchor    string        `name:"trust-anchor" placeholder:"FILE" help:"Validate from these keys of the root, a zone file with DS or DNSKEY records, in place of those built in."`
	CA        string        `placeholder:"FILE" help:"Trust these authorities, PEM, in place of the system's."`
	Timeout   time.Duration `default:"2m" placeholder:"TIME" help:"Spend no more than this on a target (${default})."`
	Verbose   bool          `short:"v" xor:"form" help:"Draw the handshakes that failed, and tell all that was seen, with sources."`
	JSON      bool          `xor:"form" help:"One JSON object a target; docs/json.md tells the fields."`
	JUnit     string        `name:"junit" placeholder:"FILE" help:"Write the findings for a build server, too."`
	Watch     time.Duration `xor:"once" placeholder:"TIME" help:"Probe again each so long, and print what has changed."`
	Check     bool          `xor:"form" help:"One line for a monitoring system, and its exit status: 0 fine, 1 warning, 2 critical, 3 unknown."`
}

// Help is shown by kong.
func (probing) Help() string {
	return `Clients that behave as known senders do visit each address of the target, two at
a time, send no mail, and leave. What they met is told: who does not get in, why,
and what to do, in the words of the server's own software.

With --deliver one message is sent to each target, by the first sender named with
--as, or healthy-go, to the first address.

--intrusive is for servers of your own. It brings up to ten more messages to that
address, each with a second one behind a false end (CVE-2023-51764 and relatives).
What the server does not refuse is delivered; a server that sees an attack may turn
your address away, and tell its administrator. Without it that is never tried.

Exit status: 0 nothing to mend, 1 something was found, 3 something did not answer.`
}

// Run is called by kong.
func (p probing) Run(ui terminal) error {
	if err := p.check(); err != nil {
		return &usageError{err: err}
	}
	prober, err := p.prober()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status, known, err := p.first(ctx, ui, prober)
	if err != nil {
		return err
	}
	if p.Watch > 0 {
		p.repeat(ctx, ui, prober.Probe, known)
	}
	if p.Check {
		return status.monitoring()
	}
	return status.usual()
}

func (p probing) check() error {
	switch {
	case p.Timeout <= 0:
		return fmt.Errorf("--timeout %v: want more than nothing", p.Timeout)
	case p.Watch < 0:
		return fmt.Errorf("--watch %v: want more than nothing", p.Watch)
	case p.Watch > 0 && (p.JSON || p.Check || p.JUnit != ""):
		return errors.New("--watch goes on and prints changes as text: leave --json, --check and --junit out")
	}
	return nil
}

// first probes once, and tells on a terminal how far it has come.
func (p probing) first(ctx context.Context, ui terminal, prober *probe.Prober) (probeStatus, []map[string]string, error) {
	shown := newProgress(ui.err)
	defer shown.Done()
	shown.Say("postern: probing " + strings.Join(p.Targets, ", "))
	told := &probeProgress{told: shown, addresses: make(map[netip.AddrPort]struct{ over, all int })}
	prober.Progress = told.visited
	defer func() { prober.Progress = nil }() // what --watch does goes on unseen
	return p.once(ctx, terminal{out: shown.Above(ui.out), err: shown.Above(ui.err)}, prober.Probe)
}

// once tells what became of all targets, and returns what there is to mend of each.
// What is cut off by the end of ctx tells nothing about a server.
func (p probing) once(ctx context.Context, ui terminal, examine examination) (status probeStatus, known []map[string]string, err error) {
	var suites []junitSuite
	for i, pending := range p.start(ctx, examine) {
		target, result := p.Targets[i], <-pending
		if ctx.Err() != nil {
			ui.error(errors.New("stopped before all was examined"), "")
			return status, nil, exitStatus(exitUnclear)
		}
		status.note(result)
		known = append(known, standing(result))
		suites = append(suites, suite(target, result))
		if err := p.tell(ui, target, result, i > 0); err != nil {
			return status, nil, err
		}
	}
	if p.JUnit != "" {
		err = writeJUnit(p.JUnit, suites)
	}
	return status, known, err
}

// A probed is what became of a target: one of both.
type probed struct {
	report *probe.Report
	err    error
}

// targetsAtOnce bounds how much is under way for a long command line.
const targetsAtOnce = 4

// An examination is that of one target, as [probe.Prober.Probe].
type examination func(ctx context.Context, target string) (*probe.Report, error)

// start probes all targets, a few at a time. Each has a channel of its own, so that
// they are told in the order of the command line.
func (p probing) start(ctx context.Context, examine examination) []chan probed {
	slots := make(chan struct{}, targetsAtOnce)
	results := make([]chan probed, len(p.Targets))
	for i, target := range p.Targets {
		results[i] = make(chan probed, 1)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			report, err := examine(ctx, target)
			results[i] <- probed{report, err}
		}()
	}
	return results
}

// tell prints what became of one target.
func (p probing) tell(ui terminal, target string, result probed, more bool) error {
	switch {
	case p.JSON:
		return ui.json(probedRow(target, result))
	case p.Check:
		fmt.Fprintln(ui.out, checkLine(target, result))
	case result.err != nil:
		ui.error(result.err, probeHint(result.err))
	default:
		if more {
			fmt.Fprintln(ui.out)
		}
		probeScreen{ui, p.Verbose}.report(result.report)
	}
	return nil
}

func probeHint(err error) string {
	switch {
	case errors.Is(err, probe.ErrTarget):
		return "postern probe example.org, mx.example.org, 192.0.2.7, or either with :port"
	case errors.Is(err, probe.ErrNoMail):
		return "the domain says that it takes no mail: nothing is wrong with that"
	case errors.Is(err, probe.ErrNotFound):
		return "look at the name; --resolver asks another DNS server"
	}
	return "--resolver ADDR asks another DNS server"
}

// protocols are what is spoken, in clear before TLS or over it from the first byte.
var protocols = map[string]map[bool]persona.Protocol{
	"smtp": {false: persona.SMTP, true: persona.Implicit},
	"imap": {false: persona.IMAP, true: persona.ImplicitIMAP},
	"pop3": {false: persona.POP3, true: persona.ImplicitPOP3},
}

func (p probing) prober() (*probe.Prober, error) {
	prober := &probe.Prober{Resolver: p.Resolver, Timeout: p.Timeout}
	prober.Protocol = protocols[p.StartTLS][p.Implicit]
	if p.Deliver != nil {
		if p.StartTLS != "smtp" {
			return nil, &usageError{err: errors.New("--deliver is for SMTP: leave --starttls out")}
		}
		prober.Deliver, prober.Intrusive = &p.Deliver.Letter, p.Intrusive
	} else if p.Intrusive {
		return nil, &usageError{err: errors.New("--intrusive needs addresses of yours: --deliver FROM TO")}
	}
	for _, id := range p.As {
		known, ok := persona.Find(id)
		if !ok {
			return nil, &usageError{err: fmt.Errorf("--as: no sender %q is known; without --as a probe lists them all", id)}
		}
		prober.Personas = append(prober.Personas, known)
	}
	if err := p.trust(prober); err != nil {
		return nil, &usageError{err: err}
	}
	return prober, nil
}

// trust reads who is trusted.
func (p probing) trust(prober *probe.Prober) error {
	var err error
	if prober.RootCAs, err = authorities(p.CA); err != nil {
		return err
	}
	switch {
	case p.Anchor != "":
		file, err := os.Open(p.Anchor)
		if err != nil {
			return fmt.Errorf("--trust-anchor: %w", err)
		}
		defer file.Close()
		if prober.TrustAnchors, err = dnssec.ReadAnchors(file); err != nil {
			return fmt.Errorf("--trust-anchor: %s: %w", p.Anchor, err)
		}
	case p.DNSSEC == "validate":
		prober.TrustAnchors = dnssec.RootAnchors()
	}
	return nil
}

// repeat probes again and again, and tells what has changed, until it is ended.
func (p probing) repeat(ctx context.Context, ui terminal, examine examination, known []map[string]string) {
	ticker := time.NewTicker(p.Watch)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i, pending := range p.start(ctx, examine) {
			now := standing(<-pending)
			if ctx.Err() != nil {
				return // what was cut off tells nothing
			}
			for _, line := range changes(known[i], now) {
				fmt.Fprintf(ui.out, "%s  %s: %s\n", time.Now().Format(time.DateTime), safetext.Printable(p.Targets[i]), line)
			}
			known[i] = now
		}
	}
}

// standing is what there is to mend now, by where and what it is.
func standing(result probed) map[string]string {
	all := make(map[string]string)
	note := func(where string, findings []probe.Finding) {
		for i, f := range findings {
			if f.Severity > probe.Notice {
				key := where + f.ID
				if i > 0 && findings[i-1].ID == f.ID { // of another host
					key += strings.Join(f.Evidence, " ")
				}
				all[key] = fmt.Sprintf("%s: %s%s", f.Severity, where, f.Title)
			}
		}
	}
	if result.err != nil {
		all["error"] = "unclear: " + safetext.Printable(result.err.Error())
		return all
	}
	note("", result.report.Findings)
	for _, h := range result.report.Hosts {
		for _, a := range h.Addresses {
			note(a.Addr.String()+" ", a.Findings)
		}
	}
	return all
}

// changes tells what is new and what is gone, each in its order.
func changes(before, now map[string]string) (lines []string) {
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if before[key] != now[key] {
			lines = append(lines, "new, "+now[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[key]; !still {
			lines = append(lines, "gone, "+before[key])
		}
	}
	return lines
}

// A letter is the two arguments of --deliver.
type letter struct{ persona.Letter }

// Decode is called by kong.
func (l *letter) Decode(ctx *kong.DecodeContext) error {
	for _, address := range []*string{&l.From, &l.To} {
		if err := ctx.Scan.PopValueInto("address", address); err != nil {
			return fmt.Errorf("want two addresses, from and to: %w", err)
		}
	}
	return l.Check()
}

// authorities reads certificates to trust; nil for no file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("--ca: no certificate in %s: want PEM", file)
	}
	return roots, nil
}
