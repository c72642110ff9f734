package ledger

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"postern/internal/safetext"
	"postern/tlsrpt"
)

// A Report is a TLS report (RFC 8460) as it is kept: its JSON, what queries ask for, and
// how it came.
type Report struct {
	// ID numbers reports in the order in which they came. No number is used twice.
	// It is not given to AddReport.
	ID int64

	At      time.Time // when it came, kept to the millisecond
	Via     Via
	Session string     // of mail: our session's id
	Address netip.Addr // of whom it came from; zero where that is not known

	// Verified says that Submitter's signature holds. All else a report may say of itself
	// without being so.
	Verified bool
	Signer   string // the domain whose DKIM signature holds; empty: none
	Verdict  string // why it is verified or not, in words

	Submitter    string // the domain that it says to come from
	Organization string
	ReportID     string    // its sender's
	Start, End   time.Time // in UTC; zero where it does not say
	Domains      []string  // that its policies are about, in lower case

	Successful, Failed int64    // sessions, of all its policies
	Warnings           []string // what was odd about it

	// Content is its JSON, see [Report.Parse]. Lists of reports leave it out.
	Content []byte

	// Versions is how many reports of the same submitter with the same ReportID and Start are
	// kept, this one included. More than one are corrections; beside one that is not verified they may
	// be forgeries. It is not given to AddReport.
	Versions int64
}

// Via is the way by which a report came.
type Via string

// The ways.
const (
	ByMail  Via = "mail"
	ByHTTPS Via = "https"
	ByFile  Via = "file"
)

// A AddedReport is what became of a report that was added.
type AddedReport struct {
	ID        int64 // the report's
	New       bool  // it was not there before
	Confirmed bool  // it was there, and is verified only now
}

// ErrReportTooLarge is in the chain of errors about reports that have more content than
// is kept.
var ErrReportTooLarge = errors.New("too large to be kept")

// Bounds of what is kept of a report, in bytes if nothing else is said.
const (
	maxContent  = 8 << 20 // what package tlsrpt reads
	maxPacked   = 1 << 20 // a report of 10,000 failures comes to some 300 KiB
	maxDomains  = 100
	maxWarnings = 200
)

// hash tells reports apart: those with one content are one report.
func (r *Report) hash() []byte {
	sum := sha256.Sum256(r.Content)
	return sum[:]
}

// pack compresses the content.
func (r *Report) pack() ([]byte, error) {
	if len(r.Content) > maxContent {
		return nil, fmt.Errorf("%d bytes: %w", len(r.Content), ErrReportTooLarge)
	}
	packed, err := compress(gzip.NewWriter(nil), r.Content)
	if err == nil && len(packed) > maxPacked {
		err = fmt.Errorf("%d bytes compressed: %w", len(packed), ErrReportTooLarge)
	}
	return packed, err
}

// list writes texts as JSON, bounded in number and length. It is never null.
func list(texts []string, most, limit int) string {
	kept := make([]string, 0, min(len(texts), most))
	for _, text := range texts[:cap(kept)] {
		kept = append(kept, safetext.Truncate(text, limit))
	}
	written, _ := json.Marshal(kept) // strings have JSON
	return string(written)
}

// texts reads a list.
type texts struct{ list *[]string }

func (t texts) Scan(value any) error {
	written, _ := value.(string)
	return json.Unmarshal([]byte(written), t.list)
}

// A ReportFilter says which reports to read. The zero value lets everything through.
type ReportFilter struct {
	// Since leaves out reports about a time before. Those that do not say theirs, or are
	// about days that have not been, are taken for about when they came.
	Since time.Time

	// Domain lets only reports about this domain through.
	Domain string

	// Submitter is a part of the submitter's domain or of the organization's name, in any case.
	Submitter string

	// From is the submitter's whole domain.
	From string

	// Organization is the whole name of one, of reports that name no submitter.
	Organization string

	// Verified lets only reports through that are.
	Verified bool

	// Limit is as [Filter.Limit].
	Limit int
}

// Reports returns those that f lets through without their Content, the one about the newest
// time first.
func (r *Reader) Reports(ctx context.Context, f ReportFilter) ([]Report, error) {
	return readAll(ctx, r, "reading reports", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT`+reportColumns+`WHERE `+about+` >= ?`, milli(f.Since))
		if f.Domain != "" {
			q.add(`AND EXISTS (SELECT 1 FROM json_each(domains) WHERE value = ?)`, strings.ToLower(f.Domain))
		}
		if f.Submitter != "" {
			part := "%" + escapeLike.Replace(f.Submitter) + "%"
			q.add(`AND (submitter LIKE ? ESCAPE '\' OR organization LIKE ? ESCAPE '\')`, part, part)
		}
		if f.From != "" {
			q.add(`AND submitter = ?`, f.From)
		}
		if f.Organization != "" {
			q.add(`AND submitter = '' AND organization = ?`, f.Organization)
		}
		if f.Verified {
			q.add(`AND verified`)
		}
		q.add(`ORDER BY `+about+` DESC, id DESC LIMIT ?`, Filter{Limit: f.Limit}.limit())
		return nil
	}, func(scan scanner) (r Report, err error) {
		err = scan(r.scanned()...)
		return r, err
	})
}

// Report returns the one with the number, whole. The error wraps [fs.ErrNotExist] where there is
// none.
func (r *Reader) Report(ctx context.Context, id int64) (Report, error) {
	var report Report
	err := r.read(fmt.Sprintf("reading report %d", id), func(db *sql.DB) error {
		q := &query{}
		q.add(`SELECT content,`+reportColumns+`WHERE id = ?`, id)
		found, err := rows(ctx, db, q, scanWhole)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("it is not kept: %w", fs.ErrNotExist)
		}
		if err == nil {
			report = found[0]
		}
		return err
	})
	return report, err
}

func scanWhole(scan scanner) (r Report, err error) {
	var packed []byte
	if err = scan(append([]any{&packed}, r.scanned()...)...); err == nil {
		r.Content, err = unpack(packed, maxContent)
	}
	return r, err
}

// about is the time that a report is about. Nobody gets to the head of a list by a date of the
// future.
const about = `min(coalesce("to", at), at)`

// Beside a report that is verified those that are not do not count as its versions.
const reportColumns = ` id, at, via, session, address, verified, signer, verdict,
	submitter, organization, report, "from", "to", successful, failed, domains, warnings,
	1 + (SELECT count(*) FROM reports AS o WHERE o.submitter = r.submitter AND o.report = r.report AND o.id <> r.id AND r.report <> ''
		AND o."from" IS r."from" AND o.verified >= r.verified AND (r.submitter <> '' OR o.organization = r.organization))
	FROM reports AS r `

// scanned are where reportColumns go.
func (r *Report) scanned() []any {
	return []any{
		&r.ID, millis{&r.At}, &r.Via, &r.Session, address{&r.Address}, &r.Verified, &r.Signer, &r.Verdict,
		&r.Submitter, &r.Organization, &r.ReportID, perhaps{&r.Start}, perhaps{&r.End},
		&r.Successful, &r.Failed, texts{&r.Domains}, texts{&r.Warnings}, &r.Versions,
	}
}

// perhaps reads a time that may be missing.
type perhaps struct{ time *time.Time }

func (p perhaps) Scan(value any) error {
	if value == nil {
		return nil
	}
	return millis(p).Scan(value)
}

// Parse reads the Content.
func (r Report) Parse() (*tlsrpt.Report, error) {
	report, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return nil, fmt.Errorf("report %d: %w", r.ID, err)
	}
	return report, nil
}

// From is who the report says it is from: a domain, else an organization's name,
// else "?".
func (r Report) From() string { return cmp.Or(r.Submitter, r.Organization, "?") }

// Day is the day in UTC that the report is about, as 2026-11-24. If it does not say,
// that is the day on which it came.
func (r Report) Day() string {
	day := r.Start
	if day.IsZero() {
		day = r.At
	}
	return day.UTC().Format(time.DateOnly)
}
