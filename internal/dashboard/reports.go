package dashboard

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strconv"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

// reports lists TLS reports. They come once a day, so it is about a week unless it is asked for
// another time.
func (d *Dashboard) reports(r *http.Request, book *ledger.Reader, of span) (*view, error) {
	filter := ledger.ReportFilter{
		Host: of.Host, Since: of.From, Until: of.To, Domain: r.FormValue("domain"), Submitter: r.FormValue("submitter"),
		Verified: r.FormValue("verified") != "", Limit: rowsOfPage,
	}
	found, err := book.Reports(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	v := &view{
		Template: "reports", Title: "TLS reports", Live: true,
		Data: struct {
			Filter  ledger.ReportFilter
			Reports []ledger.Report
			Full    bool
		}{filter, found, len(found) == rowsOfPage},
	}
	if asksJSON(r) {
		v.JSON, err = countedReports(r.Context(), book, found)
	}
	return v, err
}

// countedReports are the objects of postern report list --json. It reads the reports with
// warnings, which takes longer than the page may.
func countedReports(ctx context.Context, book *ledger.Reader, found []ledger.Report) (lines, error) {
	all := make(lines, 0, len(found))
	for _, one := range found {
		counted, err := tlsrptexplain.Count(ctx, book, one, "")
		if err != nil {
			return nil, err
		}
		all = append(all, jsonout.NewReport(counted.Report, counted.Totals))
	}
	return all, nil
}

// An explainedReport is a report with what it means.
type explainedReport struct {
	ledger.Report
	*tlsrptexplain.Explanation
	Contact string
}

// report explains a report from what the ledger has. It makes no connection.
func (d *Dashboard) report(r *http.Request, book *ledger.Reader) (*view, error) {
	found, content, err := storedReport(r, book)
	if err != nil {
		return nil, err
	}
	question, err := tlsrptexplain.Ask(r.Context(), book, found, content)
	if err != nil {
		return nil, err
	}
	question.Hostname, question.Domains, question.Now = d.Hostname, d.domains(), d.now()
	explainer := tlsrptexplain.Explainer{Ledger: book, Offline: "this page makes no connections"}
	explanation, err := explainer.Explain(r.Context(), question)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "report", Title: "TLS report " + strconv.FormatInt(found.ID, 10),
		Data: explainedReport{found, explanation, content.Contact},
		JSON: jsonout.NewReportExplained(found, content, explanation),
	}, nil
}

// storedReport returns the report that a request names by its number, with its texts shortened.
func storedReport(r *http.Request, book *ledger.Reader) (ledger.Report, *tlsrpt.Report, error) {
	missing := &statusError{http.StatusNotFound, "There is no report of this number. It may be older than the ledger keeps."}
	id, err := strconv.ParseInt(r.PathValue("report"), 10, 64)
	if err != nil {
		return ledger.Report{}, nil, missing
	}
	found, err := book.Report(r.Context(), id)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil, missing
	}
	if err == nil {
		found, err = found.Shortened()
	}
	if err != nil {
		return found, nil, err
	}
	content, err := found.Parse()
	return found, content, err
}
