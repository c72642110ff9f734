package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"postern/internal/config"
	"postern/internal/dnssec"
	"postern/internal/jsonout"
	"postern/internal/oserror"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/probekey"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// probeCmd reports which senders cannot deliver to a server.
type probeCmd struct {
	Targets   []string      `arg:"" optional:"" name:"target" help:"Domain, host, host:port or IP address. Repeatable."`
	StartTLS  string        `enum:"smtp,imap,pop3" default:"smtp" name:"starttls" placeholder:"PROTOCOL" help:"Protocol to speak: smtp (default, port 25), imap (143) or pop3 (110)."`
	Implicit  bool          `help:"Use TLS from the first byte, on ports 465, 993 and 995."`
	As        []string      `complete:"persona" placeholder:"ID" help:"Run only this sender, by its ID; --as help lists them. Repeatable."`
	Deliver   *testMessage  `xor:"once" placeholder:"FROM TO" help:"Send one short test message, with the first sender."`
	Intrusive bool          `help:"With --deliver, try to smuggle a second message behind the first; see above."`
	Resolver  string        `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	DNSSEC    string        `enum:"ad,validate" default:"ad" name:"dnssec" placeholder:"HOW" help:"Who validates DNSSEC: the DNS server, by its AD bit (ad, default), or postern (validate)."`
	Anchor    string        `name:"trust-anchor" placeholder:"FILE" help:"Validate with these root keys, a zone file with DS or DNSKEY records. Default: the built-in ones."`
	CA        string        `placeholder:"FILE" help:"Trust these certificate authorities, PEM. Default: the system's."`
	ProbeKey  string        `name:"probe-key" placeholder:"FILE" help:"Be recognised as a probe by the Postern with this key. Default: probe.key in the data folder that ${config} sets, else in ${data}, if it can be read."`
	Timeout   time.Duration `default:"2m" placeholder:"TIME" help:"Spend at most this time on a target. Default: ${default}."`
	Accept    []string      `placeholder:"ID" help:"Accept this problem of the targets, by the ID printed below it. Repeatable."`
	Accepted  string        `placeholder:"FILE" help:"File with the accepted problems, a target and an ID per line. Default: postern-accepted.txt, if it exists."`
	Verbose   bool          `short:"v" xor:"form" help:"Show all findings with evidence and sources, and diagrams of failed handshakes."`
	JSON      bool          `xor:"form" help:"Print one JSON object per target; see docs/json.md."`
	JUnit     string        `name:"junit" placeholder:"FILE" help:"Write the findings as JUnit XML too, for build servers."`
	Watch     time.Duration `xor:"once" placeholder:"TIME" help:"Probe again at this interval, such as 1h. Print what changes."`
	Check     bool          `xor:"form" help:"Print one line for a monitoring system. Exit status: 0 OK, 1 warning, 2 critical, 3 unknown."`
}

// Help is called by kong.
func (probeCmd) Help() string {
	return `Connects to each address of the target as known senders do, two at a time, without
sending mail. Reports which senders cannot deliver, why, and what to change, in the terms
of the server's own software.

--as runs the named senders alone, in their order: there are no other connections and
checks.

--deliver sends one message to the first address of each target, as the first sender
named with --as, or as healthy-go.

--intrusive is for your own servers. It sends up to ten more messages to that address,
each with a second message behind a false end of data (CVE-2023-51764 and relatives).
What the server does not refuse is delivered. A server that detects the attack may block
your address and alert its administrator.

Postern recognises a probe by the key in its data folder (--probe-key). Such a probe is not
counted as a sender and changes no TLS mode. The run that delivers counts as a sender.

--accept accepts known problems: they are still shown, but do not affect the exit status, now
or in later runs.

Examples:

  postern probe example.org
  postern probe mx.example.org:25 --as early-ticket --verbose
  postern probe --starttls imap imap.example.org

Exit status:

  0  no problem found
  1  problems found
  2  wrong command line
  3  inconclusive: something did not answer, or time was up`
}

// Run is called by kong.
func (p probeCmd) Run(ui terminal.UI) error {
	if slices.Contains(p.As, "help") {
		listPersonas(ui)
		return nil
	}
	if err := p.check(); err != nil {
		return &terminal.UsageError{Err: err}
	}
	prober, err := p.prober()
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	accepted, err := p.readAcceptance()
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status, known, err := p.first(ctx, ui, prober, accepted)
	if err != nil {
		return err
	}
	if err := accepted.save(ui); err != nil {
		return &terminal.UsageError{Err: err}
	}
	if p.Watch > 0 {
		p.watch(ctx, ui, accepted.examine(prober.Probe), known)
	}
	if p.Check {
		return status.monitoring()
	}
	return status.usual()
}

func (p probeCmd) check() error {
	switch {
	case len(p.Targets) == 0:
		return errors.New("expected a target: a domain, a host, host:port or an IP address")
	case p.Timeout <= 0:
		return fmt.Errorf("--timeout %v: must be positive", p.Timeout)
	case p.Watch < 0:
		return fmt.Errorf("--watch %v: must be positive", p.Watch)
	case p.Watch > 0 && (p.JSON || p.Check || p.JUnit != ""):
		return errors.New("--watch prints changes as text: leave out --json, --check and --junit")
	case p.Deliver != nil && p.StartTLS != "smtp":
		return errors.New("--deliver is for SMTP: leave out --starttls")
	case p.Deliver == nil && p.Intrusive:
		return errors.New("--intrusive needs your own addresses: --deliver FROM TO")
	}
	return nil
}

// protocols are by --starttls and --implicit.
var protocols = map[string]map[bool]persona.Protocol{
	"smtp": {false: persona.SMTP, true: persona.SMTPS},
	"imap": {false: persona.IMAP, true: persona.IMAPS},
	"pop3": {false: persona.POP3, true: persona.POP3S},
}

func (p probeCmd) prober() (*probe.Prober, error) {
	prober := &probe.Prober{
		Resolver: p.Resolver, Timeout: p.Timeout, Intrusive: p.Intrusive,
		Protocol: protocols[p.StartTLS][p.Implicit], Alone: len(p.As) > 0,
	}
	if p.Deliver != nil {
		prober.Deliver = &p.Deliver.TestMessage
	}
	for _, id := range p.As {
		known, ok := persona.Find(id)
		if !ok {
			return nil, fmt.Errorf("--as: unknown sender %q; --as help lists them", id)
		}
		prober.Personas = append(prober.Personas, known)
	}
	var err error
	if prober.RootCAs, err = authorities(p.CA); err != nil {
		return nil, err
	}
	if prober.Key, err = p.key(); err != nil {
		return nil, fmt.Errorf("--probe-key: %w", err)
	}
	switch {
	case p.Anchor != "":
		file, err := os.Open(p.Anchor)
		if err != nil {
			return nil, fmt.Errorf("--trust-anchor: %w", err)
		}
		defer file.Close()
		if prober.TrustAnchors, err = dnssec.ReadAnchors(file); err != nil {
			return nil, fmt.Errorf("--trust-anchor: %s: %w", p.Anchor, err)
		}
	case p.DNSSEC == "validate":
		prober.TrustAnchors = dnssec.RootAnchors()
	}
	return prober, nil
}

// key returns the key of --probe-key. The default file may be another user's, or not exist.
func (p probeCmd) key() (probekey.Key, error) {
	if p.ProbeKey != "" {
		return probekey.ReadFile(p.ProbeKey)
	}
	data, err := config.DataFolder(configFile(""))
	if err != nil { // another user's
		return probekey.Key{}, nil
	}
	return localKey(data)
}

// localKey returns the key of a server with this data folder, none if it cannot be read.
func localKey(data string) (probekey.Key, error) {
	key, err := probekey.ReadFile(config.ProbeKeyFile(data))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return probekey.Key{}, nil
	}
	return key, err
}

// authorities reads the file of --ca; nil for no file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	content, err := oserror.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("--ca: %s has no PEM certificate", file)
	}
	return roots, nil
}

// A testMessage is the two arguments of --deliver.
type testMessage struct{ persona.TestMessage }

// Decode is called by kong.
func (m *testMessage) Decode(ctx *kong.DecodeContext) error {
	for _, address := range []*string{&m.From, &m.To} {
		if err := ctx.Scan.PopValueInto("address", address); err != nil {
			return fmt.Errorf("want two addresses, from and to: %w", err)
		}
	}
	return m.Check()
}

// first probes once, with progress on a terminal.
func (p probeCmd) first(ctx context.Context, ui terminal.UI, prober *probe.Prober, accepted *acceptance) (probeStatus, []probe.Problems, error) {
	shown := terminal.NewProgress(ui.Err)
	defer shown.Done()
	shown.Set("postern: probing " + strings.Join(p.Targets, ", "))
	counts := &probeProgress{shown: shown, addresses: make(map[netip.AddrPort]struct{ done, all int })}
	prober.Progress = counts.count
	defer func() { prober.Progress = nil }() // no progress of --watch
	return p.once(ctx, ui.Above(shown), accepted.examine(prober.Probe))
}

// once probes all targets and prints the results. It returns the problems of each
// target. A probe that was interrupted says nothing about a server.
func (p probeCmd) once(ctx context.Context, ui terminal.UI, examine examineFunc) (status probeStatus, known []probe.Problems, err error) {
	var suites []junitSuite
	for i, pending := range p.start(ctx, examine) {
		target, result := p.Targets[i], <-pending
		if ctx.Err() != nil {
			ui.Error(errors.New("interrupted before all targets were probed"), "")
			return status, nil, terminal.ExitUnclear
		}
		status.note(result)
		known = append(known, probe.ProblemsOf(result.report, result.err))
		suites = append(suites, suite(target, result))
		if err := p.print(ui, target, result, i > 0); err != nil {
			return status, nil, err
		}
	}
	if p.JUnit != "" {
		err = writeJUnit(ui, p.JUnit, suites)
	}
	return status, known, err
}

// watch probes at each interval and prints what has changed, until ctx ends.
func (p probeCmd) watch(ctx context.Context, ui terminal.UI, examine examineFunc, known []probe.Problems) {
	ticker := time.NewTicker(p.Watch)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i, pending := range p.start(ctx, examine) {
			result := <-pending
			if ctx.Err() != nil {
				return // interrupted
			}
			now := probe.ProblemsOf(result.report, result.err)
			for _, line := range known[i].Changes(now) {
				fmt.Fprintf(ui.Out, "%s  %s: %s\n", localTime(time.Now()), safetext.Printable(p.Targets[i]), safetext.Printable(line))
			}
			known[i] = now
		}
	}
}

// A probed is the result for one target: a report or an error.
type probed struct {
	report *probe.Report
	err    error
}

// targetsAtOnce bounds what a long command line probes in parallel.
const targetsAtOnce = 4

// An examineFunc is [probe.Prober.Probe].
type examineFunc func(ctx context.Context, target string) (*probe.Report, error)

// start probes all targets, a few at a time. Each has its own channel, so that the
// results are printed in the order of the command line.
func (p probeCmd) start(ctx context.Context, examine examineFunc) []chan probed {
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

// print prints the result for one target.
func (p probeCmd) print(ui terminal.UI, target string, result probed, more bool) error {
	switch {
	case p.JSON:
		return ui.JSON(jsonout.NewProbed(target, result.report, result.err))
	case p.Check:
		fmt.Fprintln(ui.Out, checkLine(target, result))
	case result.err != nil:
		ui.Error(result.err, probeHint(result.err))
	default:
		if more {
			fmt.Fprintln(ui.Out)
		}
		probeScreen{ui, p.Verbose}.report(result.report)
	}
	return nil
}

func probeHint(err error) string {
	switch {
	case errors.Is(err, probe.ErrTarget):
		return "use a target such as example.org, mx.example.org or 192.0.2.7, with :port if needed"
	case errors.Is(err, probe.ErrNoMail):
		return "nothing is wrong: the domain publishes that it receives no mail"
	case errors.Is(err, probe.ErrNotFound):
		return "check the name; --resolver asks another DNS server"
	}
	return "--resolver ADDR asks another DNS server"
}
