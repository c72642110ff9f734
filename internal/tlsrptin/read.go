package tlsrptin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// takeMail keeps the report of a mail. With unless it does not where its signer's key could not
// be asked for now, and says so.
func (i *Intake) takeMail(ctx context.Context, a arrival, unless bool) (later bool, err error) {
	signed := i.keys.signatures(ctx, a.bytes) // before it is taken apart, since DNS may be slow
	if err := i.begin(ctx); err != nil {
		return false, err
	}
	defer i.end()
	r, later, err := readMail(a.bytes, signed)
	if err != nil || later && unless {
		return later, err
	}
	r.Via, r.Session, r.Address, r.At = ledger.ByMail, a.session, a.from, a.at
	warnOfFuture(&r)
	_, err = i.keep(ctx, r)
	return false, err
}

// readMail reads a mail's report and says who signed it.
func readMail(mail []byte, signed signatures) (r ledger.Report, later bool, err error) {
	m, err := tlsrpt.ParseMail(bytes.NewReader(mail))
	if err != nil {
		return r, false, err
	}
	r, err = ofMail(m)
	v := signed.judge(m)
	r.Trusted, r.Signer, r.Verdict, r.Submitter = v.trusted, v.signer, v.words, v.submitter
	return r, v.later, err
}

// begin waits for a turn to take a report apart.
func (i *Intake) begin(ctx context.Context) error {
	select {
	case i.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

func (i *Intake) end() { <-i.reading }

// ofMail is what a mail says.
func ofMail(m *tlsrpt.Mail) (ledger.Report, error) {
	r, err := ofReport(m.Report)
	warnings := words(m.Warnings)
	if named := smtp.FoldDomain(m.Name.Submitter); named != "" && named != submitter(m) {
		warnings = append(warnings, fmt.Sprintf("file name: says %.80q, TLS-Report-Submitter %.80q", named, submitter(m)))
	}
	r.Warnings = append(warnings, r.Warnings...)
	return r, err
}

// ofReport is what a report says. The content is what package tlsrpt writes, so that copies
// that differ in spaces or compression are one report.
func ofReport(report *tlsrpt.Report) (ledger.Report, error) {
	content, err := json.Marshal(report)
	if err != nil {
		return ledger.Report{}, fmt.Errorf("%w: %w", tlsrpt.ErrNotReport, err)
	}
	if len(content) > tlsrpt.MaxReportSize {
		return ledger.Report{}, fmt.Errorf("%d bytes as it is kept: %w", len(content), tlsrpt.ErrTooLarge)
	}
	r := ledger.Report{
		Organization: report.Organization, ReportID: report.ID, Start: report.Start, End: report.End,
		Warnings: words(report.Warnings), Content: content,
	}
	seen := make(map[string]bool)
	for _, p := range report.Policies {
		r.Successful += p.Successful
		r.Failed += p.Failed
		if name := smtp.FoldDomain(p.Policy.Domain); name != "" && !seen[name] {
			seen[name] = true
			r.Domains = append(r.Domains, name)
		}
	}
	return r, nil
}

func words(warnings []tlsrpt.Warning) []string {
	all := make([]string, len(warnings))
	for i, w := range warnings {
		all[i] = w.String()
	}
	return all
}

// warnOfFuture warns of a report about days that have not been.
func warnOfFuture(r *ledger.Report) {
	if r.End.After(r.At.Add(24 * time.Hour)) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("date-range: ends at %s, later than it came", r.End.Format(time.RFC3339)))
	}
}

// printable is an error's text for those who sent what it is about.
func printable(err error) string {
	return strings.Trim(fmt.Sprintf("%.300q", strings.TrimPrefix(err.Error(), "tlsrpt: ")), `"`)
}
