package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Check is the last result of a check that the server made of itself.
type Check struct {
	Kind     CheckKind
	Name     string // of the host or domain
	At       time.Time
	Severity int // of the worst finding, the higher the worse

	// Summary is a short text in JSON, and Content the whole result. A Summary of more than
	// 64 KiB or a Content of more than 8 MiB is not stored. Lists leave Content out.
	Summary, Content []byte
}

// A CheckKind is what a check is about.
type CheckKind string

// The kinds of checks.
const (
	HostCheck   CheckKind = "host"   // test clients, run against a host
	DomainCheck CheckKind = "domain" // what a domain publishes
	FleetCheck  CheckKind = "fleet"  // what a host of the fleet says of itself
)

const (
	maxSummary      = 64 << 10
	maxCheckContent = 8 << 20
	maxPackedCheck  = 1 << 20 // 40 test clients with their transcripts at 4 addresses have some 400 KiB
)

// Rooms of checks: those of hosts and of the fleet are few, as the server makes them; those of
// domains have a sixteenth of the file, at about checkSize each.
const (
	maxHostChecks   = 32
	maxFleetChecks  = 256
	maxDomainChecks = 5000
	checkSize       = 6 << 10
	checkPart       = 16
)

// AddCheck stores c in place of the earlier one of its kind and name, as [Ledger.AddHandshake]
// does.
func (l *Ledger) AddCheck(c Check) { l.add(c) }

func (c Check) size() int { return eventSize + len(c.Name) + len(c.Summary) + len(c.Content) }

func (c Check) write(s *store) error {
	if len(c.Summary) > maxSummary || len(c.Content) > maxCheckContent {
		return nil
	}
	packed, err := compress(s.gzip, c.Content)
	if err != nil || len(packed) > maxPackedCheck {
		return err
	}
	return s.exec(`INSERT INTO checks (kind, name, at, severity, summary, content, last) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, severity = excluded.severity,
			summary = excluded.summary, content = excluded.content, last = excluded.last`,
		c.Kind, c.Name, unixMilli(c.At), c.Severity, string(c.Summary), packed, s.last)
}

// KeepChecks deletes the checks of a kind whose names are not among those, as
// [Ledger.AddHandshake] stores: the server no longer has such a host or domain.
func (l *Ledger) KeepChecks(kind CheckKind, names []string) { l.add(keptChecks{kind, names}) }

type keptChecks struct {
	kind  CheckKind
	names []string
}

func (k keptChecks) size() int { return eventSize + 32*len(k.names) }

func (k keptChecks) write(s *store) error {
	names, err := json.Marshal(append([]string{}, k.names...))
	if err != nil {
		return err
	}
	return s.exec(`DELETE FROM checks WHERE kind = ? AND name NOT IN (SELECT value FROM json_each(?))`, k.kind, string(names))
}

// byChecks deletes the oldest checks where there are too many.
func (r *retention) byChecks(s *store) error {
	for kind, limit := range map[CheckKind]int64{
		HostCheck: maxHostChecks, FleetCheck: maxFleetChecks, DomainCheck: min(r.maxSize/checkPart/checkSize, maxDomainChecks),
	} {
		err := s.exec(`DELETE FROM checks WHERE kind = ?1 AND name IN (
			SELECT name FROM checks WHERE kind = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)`, kind, limit)
		if err != nil {
			return err
		}
	}
	return nil
}

// A CheckFilter selects checks of a kind.
type CheckFilter struct {
	Kind  CheckKind
	Name  string // part of the name, in any case
	Limit int    // as in [Filter]
}

// Checks returns the checks that match f without their Content, the worst first, then by name.
func (r *Reader) Checks(ctx context.Context, f CheckFilter) ([]Check, error) {
	return readAll(ctx, r, "reading checks", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT kind, name, at, severity, summary FROM checks WHERE kind = ?`, f.Kind)
		if f.Name != "" {
			q.add(`AND name LIKE ? ESCAPE '\'`, "%"+escapeLike.Replace(f.Name)+"%")
		}
		q.add(`ORDER BY severity DESC, name LIMIT ?`, Filter{Limit: f.Limit}.limit())
		return nil
	}, func(scan scanner) (c Check, err error) {
		err = scan(&c.Kind, &c.Name, timeInto(&c.At), &c.Severity, &c.Summary)
		return c, err
	})
}

// Check returns the check of a kind and name. The error wraps fs.ErrNotExist if there is none.
func (r *Reader) Check(ctx context.Context, kind CheckKind, name string) (c Check, err error) {
	err = r.read(fmt.Sprintf("reading the check of %q", name), func(db *sql.DB) error {
		q := &query{}
		q.add(`SELECT kind, name, at, severity, summary, content FROM checks WHERE kind = ? AND name = ?`, kind, strings.ToLower(name))
		c, err = oneRow(ctx, db, q, "not checked", func(scan scanner) (c Check, err error) {
			var packed []byte
			if err = scan(&c.Kind, &c.Name, timeInto(&c.At), &c.Severity, &c.Summary, &packed); err == nil {
				c.Content, err = unpack(packed, maxCheckContent)
			}
			return c, err
		})
		return err
	})
	return c, err
}

// Checked is when checks of a kind were made.
type Checked struct {
	Count       int64 // of the hosts or domains that have one
	First, Last time.Time
}

// Checked returns when the checks of a kind were made; zero times if there are none.
func (r *Reader) Checked(ctx context.Context, kind CheckKind) (c Checked, err error) {
	found, err := readAll(ctx, r, "reading times of checks", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT count(*), min(at), max(at) FROM checks WHERE kind = ?`, kind)
		return nil
	}, func(scan scanner) (c Checked, err error) {
		err = scan(&c.Count, timeOrNullInto(&c.First), timeOrNullInto(&c.Last))
		return c, err
	})
	if len(found) == 1 {
		c = found[0]
	}
	return c, err
}
