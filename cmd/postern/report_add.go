package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptin"
	"postern/tlsrpt"
)

type reportAdd struct {
	ledgerFlags
	Files    []string `arg:"" name:"file" help:"JSON, gzip or not, a mail, an mbox, or the folder of a Maildir; - is standard input. Repeatable."`
	Resolver string   `placeholder:"ADDR" help:"Ask this DNS server for the keys of signatures. Default: the system's."`
	JSON     bool     `help:"One JSON object a line; docs/json.md tells the fields."`
}

// Help is shown by kong.
func (reportAdd) Help() string {
	return `A report that lies in the mail that it came in is trusted if its submitter signed that, DNS answers and still has the
key. One without its mail is kept and not trusted, since nobody signs that.

Exit status: 1 if a file holds no report.`
}

// Run is called by kong.
func (r reportAdd) Run(ui terminal.UI) error {
	var status error
	for _, file := range r.Files {
		added := adding{ui: ui, add: r}
		if err := added.read(file); err != nil {
			return err
		}
		if added.reports == 0 {
			status = terminal.ExitStatus(terminal.ExitFailed)
		}
	}
	return status
}

// An adding is a file whose reports are added.
type adding struct {
	ui      terminal.UI
	add     reportAdd
	reports int
}

func (a *adding) read(file string) error {
	ctx, hand := context.Background(), tlsrptin.NewFileReader(a.add.Resolver)
	each := func(f tlsrptin.Entry) error { return a.found(ctx, f) }
	if file == "-" {
		return hand.ReadFrom(ctx, "standard input", os.Stdin, each)
	}
	err := hand.Read(ctx, file, each)
	var path *os.PathError
	if errors.As(err, &path) {
		return &terminal.UsageError{Err: err, Hint: "give the files or folders that hold the reports"}
	}
	return err
}

// found adds one report, and tells what became of it.
func (a *adding) found(ctx context.Context, f tlsrptin.Entry) error {
	var filed ledger.AddedReport
	err := f.Err
	if err == nil {
		filed, err = ledger.AddReport(ctx, a.add.path(), f.Report)
	}
	switch {
	case err == nil:
		a.reports++
	case !errors.Is(err, tlsrpt.ErrNotReport) && !errors.Is(err, tlsrpt.ErrTooLarge) && !errors.Is(err, ledger.ErrReportTooLarge):
		return a.add.hinted(err)
	}
	if a.add.JSON {
		return a.ui.JSON(addedRow(f, filed, err))
	}
	fmt.Fprintf(a.ui.Out, "%s: %s\n", safetext.Printable(f.Name), safetext.Printable(addedWords(f, filed, err)))
	return nil
}

func addedWords(f tlsrptin.Entry, filed ledger.AddedReport, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case filed.New:
		return fmt.Sprintf("report %d is new, %s", filed.ID, verdictWords(f.Report))
	case filed.Confirmed:
		return fmt.Sprintf("report %d was here already, and is %s", filed.ID, verdictWords(f.Report))
	}
	return fmt.Sprintf("report %d was here already", filed.ID)
}

// An addedJSON is what became of one file or mail, as docs/json.md tells it.
type addedJSON struct {
	Name      string `json:"name"`
	Report    int64  `json:"report,omitempty"`
	New       bool   `json:"new"`
	Confirmed bool   `json:"confirmed"`
	Trusted   bool   `json:"trusted"`
	Verdict   string `json:"verdict,omitempty"`
	Error     string `json:"error,omitempty"`
}

func addedRow(f tlsrptin.Entry, filed ledger.AddedReport, err error) addedJSON {
	row := addedJSON{Name: f.Name, Report: filed.ID, New: filed.New, Confirmed: filed.Confirmed, Trusted: f.Report.Verified, Verdict: f.Report.Verdict}
	if err != nil {
		row.Error = err.Error()
	}
	return row
}
