package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/tlsrptexplain"
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
func (r reportExplain) Run(ui terminal) error {
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
			return &usageError{err: err}
		}
		prober := &probe.Prober{Resolver: r.Resolver, RootCAs: roots, Personas: askedPersonas()}
		network.Prober, network.Resolver = prober, prober.Names()
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
func (r reportExplain) explain(ctx context.Context, ui terminal, x tlsrptexplain.Explainer, us self) error {
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
		Report: kept.report, Submitter: kept.Submitter, Trusted: kept.Trusted, History: history,
		Hostname: us.hostname, Domains: us.domains, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if r.JSON {
		err = ui.json(reportExplainedRow(kept, explanation))
	} else {
		ui.reportExplained(kept, explanation)
	}
	if err != nil {
		return err
	}
	return reportVerdict(explanation)
}

// book opens the ledger. A file is explained without one, too.
func (r reportExplain) book(ui terminal) (*ledger.Reader, error) {
	book, err := r.open(ui)
	if _, numbered := r.number(); errors.Is(err, ledger.ErrNone) && !numbered {
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
		return exitStatus(exitUnclear)
	}
	return exitStatus(exitFailed)
}
