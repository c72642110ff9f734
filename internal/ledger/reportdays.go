package ledger

import (
	"context"
	"database/sql"
	"time"
)

// A ReportDay sums the reports about a day in UTC: the verified ones, or the others.
type ReportDay struct {
	Day      time.Time // its start
	Verified bool
	Reports  int64
	Failing  int64 // reports with failed sessions

	Successful, Failed int64 // sessions
}

// reportedDay is the day on which the reported time begins. Dates in the future count as the day
// of receipt.
const reportedDay = `min(coalesce("from", at), at) / 86400000`

// ReportDays returns the sums of the reports about the days of the span, the earliest first. The
// first and the last day are whole.
func (r *Reader) ReportDays(ctx context.Context, in Span) ([]ReportDay, error) {
	return readAll(ctx, r, "reading reports by day", func(_ context.Context, _ *sql.DB, q *query) error {
		first, last := Filter{Since: in.From, Until: in.To}.days()
		q.add(`SELECT `+reportedDay+`, verified, count(*), sum(failed > 0), sum(successful), sum(failed)
			FROM reports INDEXED BY reports_by_day WHERE `+reportedDay+` BETWEEN ? AND ?`, first, last)
		q.atHost("host", in.Host)
		q.add(`GROUP BY 1, 2 ORDER BY 1, 2`)
		return nil
	}, func(scan scanner) (d ReportDay, err error) {
		var day int64
		err = scan(&day, &d.Verified, &d.Reports, &d.Failing, &d.Successful, &d.Failed)
		d.Day = time.UnixMilli(day * millisOfDay).UTC()
		return d, err
	})
}
