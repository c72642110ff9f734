package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"postern/internal/durable"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptin"
	"postern/tlsrpt"
)

type reportAddCmd struct {
	ledgerFlags
	Files    []string `arg:"" name:"file" help:"JSON file, gzip or not, mail, mbox or Maildir folder; - is standard input. Repeatable."`
	Resolver string   `placeholder:"ADDR" help:"Ask this DNS server for DKIM keys. Default: the system's."`
	JSON     bool     `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (reportAddCmd) Help() string {
	return `Verifies the DKIM signature of a report that is still in its mail; the submitter's key must
still be in DNS. A report without its mail is stored as unverified.

Exit status:

  0  each file has a report
  1  a file has none`
}

// Run is called by kong.
func (r reportAddCmd) Run(ui terminal.UI) error {
	var status error
	for _, file := range r.Files {
		n, err := r.add(ui, file)
		if err != nil {
			return err
		}
		if n == 0 {
			status = terminal.ExitFailed
		}
	}
	return status
}

// add stores the reports in a file and returns their number.
func (r reportAddCmd) add(ui terminal.UI, file string) (n int, err error) {
	ctx, reader := context.Background(), tlsrptin.NewFileReader(r.Resolver)
	empty := true
	received := waiting(ui, file)
	defer received()
	each := func(entry tlsrptin.Entry) error {
		received()
		empty = false
		stored, err := r.store(ctx, ui, entry)
		if stored {
			n++
		}
		return err
	}
	if file == "-" {
		return n, reader.ReadFrom(ctx, "standard input", os.Stdin, each)
	}
	err = reader.Read(ctx, file, each)
	var path *os.PathError
	if errors.As(err, &path) {
		err = &terminal.UsageError{Err: err, Hint: "give files or folders with reports"}
	}
	if err == nil && empty {
		ui.Error(fmt.Errorf("reading %s: %w", file, errNoReport), "")
	}
	return n, err
}

// store stores one report and prints the result.
func (r reportAddCmd) store(ctx context.Context, ui terminal.UI, entry tlsrptin.Entry) (stored bool, err error) {
	var filed ledger.AddedReport
	err = entry.Err
	if err == nil {
		filed, err = r.addReport(ctx, ui, entry.Report)
	}
	if err != nil && !errors.Is(err, tlsrpt.ErrNotReport) && !errors.Is(err, tlsrpt.ErrTooLarge) && !errors.Is(err, ledger.ErrReportTooLarge) {
		return false, r.hinted(err)
	}
	stored = err == nil
	if r.JSON {
		out := jsonout.Added{
			Name: entry.Name, Report: filed.ID, New: filed.New, Confirmed: filed.Confirmed,
			Verified: entry.Report.Verified, Verdict: entry.Report.Verdict,
		}
		if err != nil {
			out.Error = err.Error()
		}
		return stored, ui.JSON(out)
	}
	fmt.Fprintf(ui.Out, "%s: %s\n", safetext.Printable(entry.Name), safetext.Printable(r.addedText(entry, filed, err)))
	return stored, nil
}

// addReport stores a report, and creates the ledger first if there is none: reports of the
// time before the first start of postern serve can be added before it.
func (r reportAddCmd) addReport(ctx context.Context, ui terminal.UI, report ledger.Report) (ledger.AddedReport, error) {
	added, err := ledger.AddReport(ctx, r.path(), report)
	if !errors.Is(err, ledger.ErrNoLedger) {
		return added, err
	}
	if err := durable.MkdirAll(r.Data, 0o700); err != nil {
		return added, err
	}
	if err := ledger.Create(r.path()); err != nil {
		return added, err
	}
	ui.Note("created " + r.path())
	return ledger.AddReport(ctx, r.path(), report)
}

// addedText says what was done, and names the file that was written.
func (r reportAddCmd) addedText(entry tlsrptin.Entry, filed ledger.AddedReport, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case filed.New:
		return fmt.Sprintf("added to %s as report %d, %s", r.path(), filed.ID, verdict(entry.Report))
	case filed.Confirmed:
		return fmt.Sprintf("report %d in %s is now %s", filed.ID, r.path(), verdict(entry.Report))
	}
	return fmt.Sprintf("already stored as report %d", filed.ID)
}
