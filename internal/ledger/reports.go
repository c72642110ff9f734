package ledger

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/tlsrpt"
)

// A Report is a stored TLS report (RFC 8460) with its origin.
type Report struct {
	// ID numbers reports in the order in which they were added, and is never reused. It
	// is set when reading.
	ID int64 `json:"-"`

	// Host is the host of a fleet at which it was received first, as far as this one knows; see
	// [Handshake].
	Host string `json:"-"`

	At      time.Time  `json:"at"` // when it was received, stored to the millisecond
	Via     Via        `json:"via"`
	Session string     `json:"session,omitempty"` // the id of the SMTP session; empty if it was not received by mail
	Address netip.Addr `json:"address,omitzero"`  // of the client; zero if unknown

	// Verified says that the DKIM signature of Submitter is valid. Otherwise anybody may
	// have written the report.
	Verified bool   `json:"verified,omitempty"`
	Signer   string `json:"signer,omitempty"` // the domain with a valid DKIM signature; empty if none
	Verdict  string `json:"verdict"`          // why it is verified or not, in words

	Submitter    string    `json:"submitter,omitempty"` // the domain that it claims to come from
	Organization string    `json:"organization,omitempty"`
	ReportID     string    `json:"report,omitempty"` // the submitter's
	Start        time.Time `json:"start,omitzero"`   // in UTC; zero if it does not say
	End          time.Time `json:"end,omitzero"`
	Domains      []string  `json:"domains,omitempty"` // its policy domains, in lower case

	Successful int64    `json:"successful"` // sessions under all its policies
	Failed     int64    `json:"failed"`
	Warnings   []string `json:"warnings,omitempty"` // of package tlsrpt

	// Content is the JSON; see [Report.Parse]. Lists of reports leave it out.
	Content []byte `json:"-"`

	// Versions is the number of stored reports of the same submitter with the same ReportID
	// and Start, this one included. More than one are corrections, or forgeries if they
	// are unverified. It is set when reading.
	Versions int64 `json:"-"`
}

// Via is how a report was received.
type Via string

// The ways to receive a report.
const (
	ByMail  Via = "mail"
	ByHTTPS Via = "https"
	ByFile  Via = "file"
)

// An AddedReport is the result of AddReport.
type AddedReport struct {
	ID        int64 // of the report
	New       bool  // it was not stored before
	Confirmed bool  // it was stored unverified, and is verified now
}

// ErrReportTooLarge means that a report has too much content.
var ErrReportTooLarge = errors.New("too large to store")

// Bounds of a stored report. Sizes are in bytes.
const (
	maxContent  = 8 << 20 // as package tlsrpt reads
	maxPacked   = 1 << 20 // a report of 10,000 failures has some 300 KiB
	maxDomains  = 100
	maxWarnings = 200
)

// hash identifies the content: reports with the same content are the same report.
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

// A ReportFilter selects reports. The zero value matches all.
type ReportFilter struct {
	// Since is the earliest end of the reported time, and Until the time before which it
	// is; zero means no limit. If a report does not have one, or it is in the future, the
	// time of receipt counts.
	Since, Until time.Time

	// Domain is a policy domain.
	Domain string

	// Submitter is part of the submitter's domain or of the organization, in any case.
	Submitter string

	// From is the domain of the submitter. Organization is the organization of reports
	// without one. With both, reports match that have either.
	From, Organization string

	// Verified matches verified reports only.
	Verified bool

	// Host is as in [Filter].
	Host string

	// Limit is like [Filter.Limit].
	Limit int
}

// Reports returns the reports that match f without their Content, ordered by the reported
// time, the newest first.
func (r *Reader) Reports(ctx context.Context, f ReportFilter) ([]Report, error) {
	return readAll(ctx, r, "reading reports", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT`+reportColumns+`WHERE `+about+` >= ? AND `+about+` < ?`, unixMilli(f.Since), untilMilli(f.Until))
		if f.Domain != "" {
			q.add(`AND EXISTS (SELECT 1 FROM json_each(domains) WHERE value = ?)`, strings.ToLower(f.Domain))
		}
		if f.Submitter != "" {
			part := "%" + escapeLike.Replace(f.Submitter) + "%"
			q.add(`AND (submitter LIKE ? ESCAPE '\' OR organization LIKE ? ESCAPE '\')`, part, part)
		}
		if f.From != "" || f.Organization != "" {
			q.add(`AND (submitter = ? AND submitter <> '' OR submitter = '' AND organization = ? AND organization <> '')`, f.From, f.Organization)
		}
		if f.Verified {
			q.add(`AND verified`)
		}
		q.atHost("host", f.Host)
		q.add(`ORDER BY `+about+` DESC, id DESC LIMIT ?`, Filter{Limit: f.Limit}.limit())
		return nil
	}, func(scan scanner) (r Report, err error) {
		err = scan(r.scanned()...)
		return r, err
	})
}

// Report returns the report with the id, with its Content. The error wraps
// fs.ErrNotExist if there is none.
func (r *Reader) Report(ctx context.Context, id int64) (report Report, err error) {
	err = r.read(fmt.Sprintf("reading report %d", id), func(db *sql.DB) error {
		q := &query{}
		q.add(`SELECT content,`+reportColumns+`WHERE id = ?`, id)
		report, err = oneRow(ctx, db, q, "not stored", scanWhole)
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

// about is the reported time. A time in the future does not put a report at the head of a
// list.
const about = `min(coalesce("to", at), at)`

// Unverified reports do not count as versions of a verified one.
var reportColumns = ` id, ` + hostOf("r.host") + `, at, via, session, address, verified, signer, verdict,
	submitter, organization, report, "from", "to", successful, failed, domains, warnings,
	1 + (SELECT count(*) FROM reports AS o WHERE o.submitter = r.submitter AND o.report = r.report AND o.id <> r.id AND r.report <> ''
		AND o."from" IS r."from" AND o.verified >= r.verified AND (r.submitter <> '' OR o.organization = r.organization))
	FROM reports AS r `

// scanned returns the destinations of reportColumns.
func (r *Report) scanned() []any {
	return []any{
		&r.ID, &r.Host, timeInto(&r.At), &r.Via, &r.Session, addrInto(&r.Address), &r.Verified, &r.Signer, &r.Verdict,
		&r.Submitter, &r.Organization, &r.ReportID, timeOrNullInto(&r.Start), timeOrNullInto(&r.End),
		&r.Successful, &r.Failed, textsInto(&r.Domains), textsInto(&r.Warnings), &r.Versions,
	}
}

// Parse reads the Content.
func (r Report) Parse() (*tlsrpt.Report, error) {
	report, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return nil, fmt.Errorf("report %d: %w", r.ID, err)
	}
	return report, nil
}

// From returns the domain that the report claims to come from, else the organization,
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
