package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/internal/tlsrptin"
	"postern/tlsrpt"
)

// reportExplain is the subcommand that says what a TLS report means.
type reportExplain struct {
	ledgerFlags
	Which    string `arg:"" name:"report" help:"The number of a report that is kept, or a file: JSON, gzip, or a mail."`
	Config   string `placeholder:"FILE" help:"The configuration of postern serve: tells its host name, domains and data folder."`
	Trust    bool   `help:"Take it for a report of whom it names: for a file that you know the origin of."`
	Offline  bool   `help:"Ask nobody on the network: neither for names nor for records, policy and servers."`
	Resolver string `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	CA       string `placeholder:"FILE" help:"Trust these authorities, PEM, in place of the system's."`
	JSON     bool   `help:"As one JSON object; docs/json.md tells the fields."`
}

// Help is shown by kong.
func (reportExplain) Help() string {
	return `A report is laid beside the handshakes that failed here in the same hours, if its signature holds, and beside the
records, the policy and the servers of the domain as they are now.

Exit status: 0 nothing failed, 1 a cause was found, 2 the report cannot be read, 3 the cause is not known.`
}

// Run is called by kong.
func (r reportExplain) Run(ui terminal.UI) error {
	var us self
	if r.Config != "" {
		c, err := config.Load(r.Config, config.Flags{})
		if err != nil {
			return err
		}
		us, r.Data = self{c.Hostname, c.Domains}, c.Data
	}
	var network tlsrptexplain.Explainer
	if !r.Offline {
		roots, err := authorities(r.CA)
		if err != nil {
			return &terminal.UsageError{Err: err}
		}
		prober := &probe.Prober{Resolver: r.Resolver, RootCAs: roots, Personas: askedPersonas()}
		network.Prober, network.Resolver = prober, prober.NetResolver()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return r.explain(ctx, ui, network, us)
}

// self is what our server is; empty where that is not known.
type self struct {
	hostname string
	domains  []string
}

// askedPersonas are those of cases that a report may be about; the healthy client comes by itself.
func askedPersonas() (all []*persona.Persona) {
	for _, p := range persona.All() {
		if p.Case == "early-ticket" || p.Case == "big-hello" {
			all = append(all, p)
		}
	}
	return all
}

// explain explains with the network that it is given.
func (r reportExplain) explain(ctx context.Context, ui terminal.UI, x tlsrptexplain.Explainer, us self) error {
	book, err := r.book(ui)
	if err != nil {
		return err
	}
	if book != nil {
		defer book.Close()
		x.Ledger = book
	}
	kept, err := r.find(ctx, ui, book)
	if err != nil {
		return err
	}
	history, err := kept.history(ctx, book)
	if err != nil {
		return err
	}
	explanation, err := x.Explain(ctx, tlsrptexplain.Question{
		Report: kept.report, Submitter: kept.Submitter, Verified: kept.Verified, History: history,
		Hostname: us.hostname, Domains: us.domains, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if r.JSON {
		err = ui.JSON(reportExplainedRow(kept, explanation))
	} else {
		printReportExplanation(ui, kept, explanation)
	}
	if err != nil {
		return err
	}
	return reportVerdict(explanation)
}

// book opens the ledger. A file is explained without one, too.
func (r reportExplain) book(ui terminal.UI) (*ledger.Reader, error) {
	book, err := r.open(ui)
	if _, numbered := r.number(); errors.Is(err, ledger.ErrNoLedger) && !numbered {
		return nil, nil
	}
	return book, err
}

// number is that of a report that is kept.
func (r reportExplain) number() (int64, bool) {
	id, err := strconv.ParseInt(r.Which, 10, 64)
	return id, err == nil
}

// reportVerdict is the exit status.
func reportVerdict(e *tlsrptexplain.Explanation) error {
	switch {
	case e.Failed() == 0:
		return nil
	case e.Conclusion.Confidence == 0:
		return terminal.ExitStatus(terminal.ExitUnclear)
	}
	return terminal.ExitStatus(terminal.ExitFailed)
}

// A keptReport is a report as it is kept, and read.
type keptReport struct {
	ledger.Report
	report *tlsrpt.Report
	kin    ledger.ReportFilter // those that it is compared with; zero: none
}

// keptReportOf reads what is kept.
func keptReportOf(r ledger.Report) (keptReport, error) {
	read, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return keptReport{}, fmt.Errorf("report %d: %w", r.ID, err)
	}
	return keptReport{r, read, kinOf(r)}, nil
}

// kinOf are the reports of the same submitter. Those that name none, as all that are POSTed, have
// their organization's name in common.
func kinOf(r ledger.Report) ledger.ReportFilter {
	if r.Submitter == "" {
		return ledger.ReportFilter{Organization: r.Organization}
	}
	return ledger.ReportFilter{From: r.Submitter}
}

// vouch takes the operator's word that the report is of whom it names: if nothing else
// does, its contact's address.
func (k *keptReport) vouch() {
	if k.Verified {
		return
	}
	k.Verified, k.Verdict = true, "--trust says so"
	k.Submitter = cmp.Or(k.Submitter, strings.ToLower(k.report.Contact[strings.LastIndex(k.report.Contact, "@")+1:]))
}

// find reads the report from the ledger or from its file.
func (r reportExplain) find(ctx context.Context, ui terminal.UI, book *ledger.Reader) (k keptReport, err error) {
	var found ledger.Report
	if id, numbered := r.number(); numbered {
		found, err = book.Report(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			return k, &terminal.HintedError{Err: err, Hint: "postern report list tells the numbers of those that are kept"}
		}
	} else {
		found, err = r.file(ctx, ui)
	}
	if err == nil {
		k, err = keptReportOf(found)
	}
	if err == nil && r.Trust {
		k.vouch()
	}
	return k, r.hinted(err)
}

// file reads the first report that a file holds.
func (r reportExplain) file(ctx context.Context, ui terminal.UI) (ledger.Report, error) {
	hand := tlsrptin.NewFileReader(r.Resolver)
	if r.Offline {
		hand = tlsrptin.NewOfflineFileReader()
	}
	var all []ledger.Report
	var none error
	err := hand.Read(ctx, r.Which, func(f tlsrptin.Entry) error {
		none = cmp.Or(none, f.Err)
		if f.Err == nil && len(all) < 2 {
			all = append(all, f.Report)
		}
		return nil
	})
	switch path := (*os.PathError)(nil); {
	case errors.As(err, &path), err == nil && len(all) == 0:
		return ledger.Report{}, &terminal.UsageError{Err: cmp.Or(err, none), Hint: "give the number of a report that is kept, or a file with one: JSON, gzip or not, or its mail"}
	case err != nil:
		return ledger.Report{}, err
	case len(all) > 1:
		ui.Note(r.Which + " holds more than one report, the first is explained; postern report add takes in all")
	}
	return all[0], nil
}

// What is read of other reports.
const (
	maxHistory      = 200      // they are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // one of a usual day has a few KiB
)

// history are the other reports of the same submitter that are kept, in the order in which they
// came. Beside one that is trusted those that are not have nothing to say.
func (k keptReport) history(ctx context.Context, book *ledger.Reader) (all []*tlsrpt.Report, err error) {
	if book == nil || k.kin == (ledger.ReportFilter{}) {
		return nil, nil
	}
	kin := k.kin
	kin.Verified, kin.Limit = k.Verified && kin.From != "", maxHistory
	found, err := book.Reports(ctx, kin)
	if errors.Is(err, ledger.ErrNoReports) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	others, err := readReports(ctx, book, found)
	slices.SortFunc(others, func(a, b keptReport) int { return cmp.Compare(a.ID, b.ID) })
	return each(others, func(o keptReport) *tlsrpt.Report { return o.report }), err
}

// readReports reads the first of the reports, up to maxHistoryBytes.
func readReports(ctx context.Context, book *ledger.Reader, found []ledger.Report) (all []keptReport, err error) {
	size := 0
	for _, r := range found {
		if r, err = book.Report(ctx, r.ID); err != nil {
			return nil, err
		}
		if size += len(r.Content); size > maxHistoryBytes {
			break
		}
		other, err := keptReportOf(r)
		if err != nil {
			return nil, err
		}
		all = append(all, other)
	}
	return all, nil
}
