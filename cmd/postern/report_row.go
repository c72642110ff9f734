package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/ledger"
)

// A reportJSON is a report as docs/json.md tells it.
type reportJSON struct {
	Report       int64           `json:"report"`
	Time         time.Time       `json:"time"`
	Via          string          `json:"via"`
	Session      string          `json:"session,omitempty"`
	Address      netip.Addr      `json:"address,omitzero"`
	Trusted      bool            `json:"trusted"`
	Signer       string          `json:"signer,omitempty"`
	Verdict      string          `json:"verdict"`
	Submitter    string          `json:"submitter,omitempty"`
	Organization string          `json:"organization,omitempty"`
	ReportID     string          `json:"report_id,omitempty"`
	Start        time.Time       `json:"start,omitzero"`
	End          time.Time       `json:"end,omitzero"`
	Domains      []string        `json:"domains"`
	Successful   int64           `json:"successful"`
	Failed       int64           `json:"failed"`
	Versions     int64           `json:"versions"`
	Warnings     []string        `json:"warnings"`
	Content      json.RawMessage `json:"content,omitempty"`
}

func reportRow(r ledger.Report) reportJSON {
	return reportJSON{
		r.ID, r.At.UTC(), string(r.Via), r.Session, r.Address, r.Trusted, r.Signer, r.Verdict, r.Submitter, r.Organization, r.ReportID,
		r.Start, r.End, r.Domains, r.Successful, r.Failed, r.Versions, r.Warnings, r.Content,
	}
}

// reportFormat fits 80 columns as long as there is nothing to say beyond the numbers.
const reportFormat = "%6v  %-10s  %-20s  %-20s  %7s  %7s  %s"

var reportHead = strings.TrimRight(fmt.Sprintf(reportFormat, "report", "day", "submitter", "domain", "success", "failure", ""), " ")

// reportLine is a report in one line of columns, for people.
func reportLine(r ledger.Report) string {
	domains := ""
	if len(r.Domains) > 0 {
		domains = short(r.Domains[0], 20)
	}
	if len(r.Domains) > 1 {
		domains = fmt.Sprintf("%s +%d", short(r.Domains[0], 15), len(r.Domains)-1)
	}
	line := fmt.Sprintf(reportFormat, r.ID, reportDay(r), short(claimed(r), 20), domains, tally(r.Successful), tally(r.Failed), reportWords(r))
	return strings.TrimRight(line, " ")
}

// reportWords say what is to say of a report beyond its numbers.
func reportWords(r ledger.Report) string {
	var words []string
	if !r.Trusted {
		words = append(words, "not verified")
	}
	if r.Versions > 1 {
		words = append(words, fmt.Sprintf("one of %d with this id", r.Versions))
	}
	return strings.Join(words, ", ")
}

// claimed is who a report says to come from.
func claimed(r ledger.Report) string { return cmp.Or(r.Submitter, r.Organization, "?") }

// reportDay is the day that a report is about, in UTC; if it does not say, the one on which
// it came.
func reportDay(r ledger.Report) string {
	day := r.Start
	if day.IsZero() {
		day = r.At
	}
	return day.UTC().Format(time.DateOnly)
}

// tally is a number within 7 columns: a report may say anything.
func tally(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprint(n)
	}
	size := float64(n)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		if size /= 1000; size < 10_000 {
			return fmt.Sprintf("%.0f%s", size, unit)
		}
	}
	return fmt.Sprintf("%.0fE", size/1000)
}
