package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"

	"postern/internal/config"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

// reportExplainCmd finds the likeliest cause of the failures in a TLS report.
type reportExplainCmd struct {
	reportArg
	Trust bool   `help:"Treat this report as genuine (you know where it comes from)."`
	CA    string `placeholder:"FILE" help:"Trust these certificate authorities, PEM. Default: the system's."`
}

// Help is called by kong.
func (reportExplainCmd) Help() string {
	return `Matches a report to the handshakes that failed here in the same hours, and checks
the DNS records, policy and servers of the domain as they are now.

Exit status:

  0  the report has no failures
  1  cause found
  2  the report cannot be read
  3  cause unknown`
}

// Run is called by kong.
func (r reportExplainCmd) Run(ui terminal.UI) error {
	var q tlsrptexplain.Question
	if file := configFile(r.File); file != "" {
		c, err := config.Load(file, config.Flags{Data: r.Data}, nil)
		switch {
		case err == nil:
			q.Hostname, q.Domains = c.Hostname, c.Domains
		case r.File != "":
			return err
		} // else only the server can read its keys, and the report has names too
	}
	network := tlsrptexplain.Explainer{Offline: "--offline is set"}
	if !r.Offline {
		roots, err := authorities(r.CA)
		if err != nil {
			return &terminal.UsageError{Err: err}
		}
		key, err := localKey(r.Data)
		if err != nil {
			return err
		}
		prober := &probe.Prober{Resolver: r.Resolver, RootCAs: roots, Personas: tlsrptexplain.Personas(), Key: key}
		network.Prober, network.Resolver = prober, prober.NetResolver()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return r.explain(ctx, ui, network, q)
}

// explain completes the question, which has only our names, and prints the answer.
func (r reportExplainCmd) explain(ctx context.Context, ui terminal.UI, x tlsrptexplain.Explainer, q tlsrptexplain.Question) error {
	book, err := r.openIfAny(ui)
	if err != nil {
		return err
	}
	if book != nil {
		defer book.Close()
		x.Ledger = book
	}
	found, err := r.find(ctx, ui, book)
	if err != nil {
		return err
	}
	k := parsedReport{Report: found}
	if k.report, err = found.Parse(); err != nil {
		return err
	}
	if r.Trust {
		k.trust()
	}
	asked, err := tlsrptexplain.Ask(ctx, book, found, k.report)
	if err != nil {
		return err
	}
	asked.Hostname, asked.Domains, asked.Verified = q.Hostname, q.Domains, k.Verified
	explanation, err := x.Explain(ctx, asked)
	if err != nil {
		return err
	}
	if r.JSON {
		err = ui.JSON(jsonout.NewReportExplained(k.Report, k.report, explanation))
	} else {
		printReportExplanation(ui, k, explanation)
	}
	switch {
	case err != nil:
		return err
	case explanation.Failed() == 0:
		return nil
	case explanation.Conclusion.Confidence == 0:
		return terminal.ExitUnclear
	}
	return terminal.ExitFailed
}

// A parsedReport is a report with its content.
type parsedReport struct {
	ledger.Report
	report *tlsrpt.Report
}

// trust takes the operator's word for the submitter. If nothing names one, it is the
// domain of the report's contact.
func (k *parsedReport) trust() {
	if k.Verified {
		return
	}
	k.Verified, k.Verdict = true, "by --trust"
	k.Submitter = cmp.Or(k.Submitter, tlsrptexplain.ContactDomain(k.report))
}
