package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern/internal/safetext"
)

// AddReport keeps r, and returns when it is safe on disk. A report whose content is there
// already is not kept twice. It waits for its turn and for the disk, until ctx ends: then
// the report may be kept all the same. It is for those who may wait; mail in general does not.
//
// The error wraps [ErrReportTooLarge] where another attempt is of no use.
func (l *Ledger) AddReport(ctx context.Context, r Report) (AddedReport, error) {
	packed, err := r.pack()
	if err != nil {
		return AddedReport{}, fmt.Errorf("ledger: report: %w", err)
	}
	f := &filing{report: r, packed: packed, done: make(chan struct{})}
	select {
	case l.filings <- f:
	case <-ctx.Done():
		return AddedReport{}, fmt.Errorf("ledger: report: waiting for the disk: %w", context.Cause(ctx))
	case <-l.stop:
		return AddedReport{}, fmt.Errorf("ledger: report: %w", errClosed)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return AddedReport{}, fmt.Errorf("ledger: report: waiting for the disk: %w", context.Cause(ctx))
	}
	if f.err != nil {
		return AddedReport{}, fmt.Errorf("ledger: %s: adding a report: %w", l.path, f.err)
	}
	return f.AddedReport, nil
}

// AddReport puts r into the ledger at path from outside, as [Ledger.AddReport] does in the server.
// The error may wrap [ErrNoLedger], [ErrOlder], [ErrNewer] or [ErrReportTooLarge].
func AddReport(ctx context.Context, path string, r Report) (filed AddedReport, err error) {
	packed, err := r.pack()
	if err != nil {
		return AddedReport{}, fmt.Errorf("ledger: report: %w", err)
	}
	err = alter(ctx, path, "adding a report", func(conn *sql.Conn) error {
		return synced(ctx, conn, func() error {
			tx, err := conn.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			var last int64
			err = tx.QueryRowContext(ctx, selectLast).Scan(&last)
			if err == nil {
				filed, err = r.file(ctx, tx, packed, last+1)
			}
			if err == nil {
				err = tx.Commit()
			}
			return err
		})
	})
	return filed, err
}

// A filing is a report on its way to the writer, and what became of it once done is closed.
type filing struct {
	report Report
	packed []byte
	AddedReport
	err  error
	done chan struct{}
}

// file keeps a report, and makes room for it.
func (w *writer) file(f *filing) {
	defer close(f.done)
	f.err = w.use(func(s *store) error {
		before := s.last
		err := synced(context.Background(), s.conn, func() error {
			return s.transact(func() (err error) {
				s.last++ // its age can be told even where no handshake comes
				f.AddedReport, err = f.report.file(context.Background(), s.conn, f.packed, s.last)
				return err
			})
		})
		if err != nil {
			s.last = before
		}
		return err
	})
	if f.err != nil {
		w.rest(f.err)
		return
	}
	w.tend(w.retention.byReports)
}

// synced lets what do commits be on disk when it returns, power cuts or not.
func synced(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return err
	}
	err := do()
	_, back := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = NORMAL`)
	return errors.Join(err, back)
}

// An executor is a connection or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// file stores the report within a transaction. One that is there stays as it is, unless it was
// not verified and is now: then the way on which it can be verified is the one to remember.
func (r *Report) file(ctx context.Context, db executor, packed []byte, last int64) (f AddedReport, err error) {
	var verified bool
	err = db.QueryRowContext(ctx, `SELECT id, verified FROM reports WHERE hash = ?`, r.hash()).Scan(&f.ID, &verified)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		f.New = true
	case err != nil:
		return f, err
	case verified || !r.Verified:
		return f, nil
	default:
		f.Confirmed = true
	}
	err = db.QueryRowContext(ctx, insertReport, r.columns(packed, last)...).Scan(&f.ID)
	return f, err
}

const insertReport = `INSERT INTO reports (hash, at, last, via, session, address, verified, signer, verdict,
		submitter, organization, report, "from", "to", successful, failed, domains, warnings, content, size)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (hash) DO UPDATE SET at = excluded.at, last = excluded.last, via = excluded.via, session = excluded.session,
		address = excluded.address, verified = excluded.verified, signer = excluded.signer, verdict = excluded.verdict,
		submitter = excluded.submitter, warnings = excluded.warnings
	RETURNING id`

// columns are those of insertReport.
func (r *Report) columns(packed []byte, last int64) []any {
	domains, warnings := list(r.Domains, maxDomains, maxName), list(r.Warnings, maxWarnings, maxText)
	size := fixed + len(packed) + len(domains) + len(warnings) + len(r.Submitter) + len(r.Organization) + len(r.ReportID)
	return []any{
		r.hash(), milli(r.At), last, string(r.Via), safetext.Truncate(r.Session, maxName), blob(r.Address),
		r.Verified, safetext.Truncate(r.Signer, maxName), safetext.Truncate(r.Verdict, maxText),
		safetext.Truncate(r.Submitter, maxName), safetext.Truncate(r.Organization, maxName), safetext.Truncate(r.ReportID, maxName),
		orNull(r.Start), orNull(r.End), r.Successful, r.Failed, domains, warnings, packed, size,
	}
}

// orNull writes a time that may be zero.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return milli(t)
}
