package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern/internal/safetext"
)

// AddReport stores r, and returns when it is safe on disk. A report with the same content
// is not stored twice. Unlike the other methods, AddReport waits for its turn and for the
// disk, until ctx is done; the report may be stored all the same then.
//
// The error wraps [ErrReportTooLarge] if a retry is useless.
func (l *Ledger) AddReport(ctx context.Context, r Report) (AddedReport, error) {
	packed, err := r.pack()
	if err != nil {
		return AddedReport{}, fmt.Errorf("ledger: report: %w", err)
	}
	var added AddedReport
	err = l.wait(ctx, "adding a report", func(w *writer) (err error) {
		added, err = w.addReport(r, packed)
		return err
	})
	if err != nil {
		return AddedReport{}, err
	}
	return added, nil
}

// AddReport stores r in the ledger at path from another process, as [Ledger.AddReport] does
// in the server. The error can wrap [ErrNoLedger], [ErrOlder], [ErrNewer] or
// [ErrReportTooLarge].
func AddReport(ctx context.Context, path string, r Report) (added AddedReport, err error) {
	packed, err := r.pack()
	if err != nil {
		return AddedReport{}, fmt.Errorf("ledger: report: %w", err)
	}
	err = alter(ctx, path, "adding a report", func(conn *sql.Conn) error {
		return synced(ctx, conn, func() error {
			return inTransaction(ctx, conn, func(tx *sql.Tx) error {
				var last int64
				err := tx.QueryRowContext(ctx, selectLast).Scan(&last)
				var changed bool
				if err == nil {
					added, changed, err = r.insert(ctx, tx, packed, last+1, here)
				}
				if err == nil && changed {
					var o outbox
					o.add(reportRecord, recordedReport{r, packed})
					err = o.store(ctx, tx, fastGzip())
				}
				return err
			})
		})
	})
	return added, err
}

// addReport stores a report, and deletes others if there are too many.
func (w *writer) addReport(r Report, packed []byte) (added AddedReport, err error) {
	err = w.use(func(s *store) error {
		return synced(context.Background(), s.conn, func() error {
			return s.transact(func() (err error) {
				added, err = s.addReport(recordedReport{r, packed})
				return err
			})
		})
	})
	if err != nil {
		w.backOff(err)
		return added, err
	}
	w.maintain(w.retention.byReports)
	return added, nil
}

// addReport stores a report with its content.
func (s *store) addReport(r recordedReport) (added AddedReport, err error) {
	s.last++ // so that its age is known even if there are no handshakes
	added, changed, err := r.insert(context.Background(), s.conn, r.Content, s.last, s.host)
	if err == nil && changed {
		err = s.record(reportRecord, r)
	}
	return added, err
}

// write stores a report of another host, unless it is here: each report counts once.
func (r recordedReport) write(s *store) (err error) {
	if r.Report.Content, err = unpack(r.Content, maxContent); err != nil || len(r.Content) > maxPacked {
		return nil // no report: an error would come again at each attempt
	}
	_, err = s.addReport(r)
	return err
}

// synced calls do with full syncing: what it commits is on disk when synced returns.
func synced(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return err
	}
	err := do()
	_, back := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = NORMAL`)
	return errors.Join(err, back)
}

// insert stores the report in a transaction, and returns whether that changed something. A stored report with
// the same content stays as it is, unless r is verified and it was not, or r was received before: then it gets
// the origin of r. So hosts that receive the same reports come to the same origins.
func (r *Report) insert(ctx context.Context, db querier, packed []byte, last, host int64) (f AddedReport, changed bool, err error) {
	var verified, earlier bool
	err = db.QueryRowContext(ctx, `SELECT id, verified, (?1, `+hostOf("?2")+`) < (at, `+hostOf("host")+`)
		FROM reports WHERE hash = ?3`, unixMilli(r.At), host, r.hash()).Scan(&f.ID, &verified, &earlier)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		f.New = true
	case err != nil:
		return f, false, err
	case r.Verified && !verified:
		f.Confirmed = true
	case r.Verified != verified || !earlier:
		return f, false, nil
	}
	err = db.QueryRowContext(ctx, insertReport, append(r.columns(packed, last), host)...).Scan(&f.ID)
	return f, true, err
}

const insertReport = `INSERT INTO reports (hash, at, last, via, session, address, verified, signer, verdict,
		submitter, organization, report, "from", "to", successful, failed, domains, warnings, content, size, share, host)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (hash) DO UPDATE SET at = excluded.at, last = excluded.last, via = excluded.via, session = excluded.session,
		address = excluded.address, verified = excluded.verified, signer = excluded.signer, verdict = excluded.verdict,
		submitter = excluded.submitter, warnings = excluded.warnings, share = excluded.share, host = excluded.host
	RETURNING id`

// columns returns the arguments of insertReport.
func (r *Report) columns(packed []byte, last int64) []any {
	domains, warnings := textList(r.Domains, maxDomains, maxName), textList(r.Warnings, maxWarnings, maxText)
	size := eventSize + len(packed) + len(domains) + len(warnings) + len(r.Submitter) + len(r.Organization) + len(r.ReportID)
	return []any{
		r.hash(), unixMilli(r.At), last, safetext.Truncate(string(r.Via), maxName), safetext.Truncate(r.Session, maxName), addrBytes(r.Address),
		r.Verified, safetext.Truncate(r.Signer, maxName), safetext.Truncate(r.Verdict, maxText),
		safetext.Truncate(r.Submitter, maxName), safetext.Truncate(r.Organization, maxName), safetext.Truncate(r.ReportID, maxName),
		unixMilliOrNull(r.Start), unixMilliOrNull(r.End), r.Successful, r.Failed, domains, warnings, packed, size, r.share(),
	}
}
