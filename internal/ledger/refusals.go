package ledger

import (
	"context"
	"database/sql"
	"net/netip"
	"strings"
	"time"

	"postern/internal/safetext"
)

// A Refusal is a reason for which commands of a sender were refused (5xx) or deferred (4xx).
// Equal ones of a day are counted together.
type Refusal struct {
	Host    string       `json:"-"` // as of a [Handshake]
	First   time.Time    `json:"-"`
	Last    time.Time    `json:"last"`
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`

	// Command is the verb, CONNECT or END-OF-MESSAGE. It is empty for commands that were
	// only counted, because there were too many; Reply is then "4xx" or "5xx".
	Command string `json:"command,omitempty"`

	From    string `json:"from,omitempty"` // envelope addresses, as much of them as is kept
	To      string `json:"to,omitempty"`
	Reply   string `json:"reply"`            // code and text
	Remote  bool   `json:"remote,omitempty"` // the reply is the next hop's own, not Postern's
	Count   int64  `json:"count"`
	Session string `json:"session,omitempty"` // the last one

	// Accepted is when mail with the same From and To from the same network was accepted,
	// after commands were deferred. It is set when reading; zero if none was seen.
	Accepted time.Time `json:"-"`
}

// AddRefusal stores a refusal, as [Ledger.AddHandshake] does. First is not used.
func (l *Ledger) AddRefusal(r Refusal) { l.add(r) }

func (r Refusal) size() int {
	return eventSize + len(r.EHLO) + len(r.Command) + len(r.From) + len(r.To) + len(r.Reply) + len(r.Session)
}

func (r Refusal) write(s *store) error {
	kind := refused
	if strings.HasPrefix(r.Reply, "4") {
		kind = deferred
	}
	r.Count = min(max(r.Count, 0), maxCount)
	s.periods.add(unixMilli(r.Last), kind, "", r.Count, s.last)
	err := s.exec(`INSERT INTO refusals
		(day, network, ehlo, command, "from", "to", reply, remote, first, seen, count, session, last, host)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?9, ?9, ?10, ?11, ?12, ?13)
		ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen), count = count + excluded.count,
			session = excluded.session, last = excluded.last, accepted = NULL`,
		dayOf(r.Last), prefixBytes(r.Network), safetext.Truncate(r.EHLO, maxName), safetext.Truncate(r.Command, maxName),
		safetext.Truncate(r.From, maxName), safetext.Truncate(r.To, maxName), safetext.Truncate(r.Reply, maxText), r.Remote,
		unixMilli(r.Last), r.Count, safetext.Truncate(r.Session, maxName), s.last, s.host)
	if err != nil {
		return err
	}
	return s.record(refusalRecord, r)
}

// maxCount bounds what one refusal counts, so that no sum overflows.
const maxCount = 1 << 32

// An Acceptance is a message that was accepted after a command like it was deferred.
type Acceptance struct {
	At      time.Time    `json:"at"`
	Network netip.Prefix `json:"network"`
	From    string       `json:"from,omitempty"`
	To      string       `json:"to,omitempty"`
}

// AddAcceptance notes with the refusals of the same network and addresses that mail was
// accepted, as [Ledger.AddHandshake] does.
func (l *Ledger) AddAcceptance(a Acceptance) { l.add(a) }

func (a Acceptance) size() int { return eventSize + len(a.From) + len(a.To) }

func (a Acceptance) write(s *store) error {
	err := s.exec(`UPDATE refusals SET accepted = ?1
		WHERE host = ?7 AND network = ?2 AND day BETWEEN ?3 AND ?4 AND "from" = ?5 AND "to" = ?6
			AND reply LIKE '4%' AND seen <= ?1 AND accepted IS NULL`,
		unixMilli(a.At), prefixBytes(a.Network), dayOf(a.At.Add(-returnTime)), dayOf(a.At),
		safetext.Truncate(a.From, maxName), safetext.Truncate(a.To, maxName), s.host)
	if err != nil {
		return err
	}
	return s.record(acceptanceRecord, a)
}

// A RefusalFilter selects refusals. The zero value matches everything.
type RefusalFilter struct {
	Since     time.Time // of the last one
	Until     time.Time // before which the first one was; zero means no limit
	Sender    string    // as in [Filter], or part of From
	Recipient string    // part of To, in any case
	Host      string    // as in [Filter]
	Limit     int       // as in [Filter]
}

// Refusals returns the refusals that match f, the last ones first.
func (r *Reader) Refusals(ctx context.Context, f RefusalFilter) ([]Refusal, error) {
	return readAll(ctx, r, "reading refusals", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT `+hostOf("host")+`, first, seen, network, ehlo, command, "from", "to", reply, remote, count, session, accepted
			FROM refusals WHERE seen >= ? AND first < ?`, unixMilli(f.Since), untilMilli(f.Until))
		q.atHost("host", f.Host)
		sender := Filter{Sender: f.Sender}
		if _, named := sender.network(); named || f.Sender == "" {
			sender.bySender(q)
		} else {
			q.add(`AND (ehlo LIKE ? ESCAPE '\' OR`, "%"+escapeLike.Replace(f.Sender)+"%")
			q.containsMailbox(`"from"`, f.Sender)
			q.add(`)`)
		}
		if f.Recipient != "" {
			q.add(`AND (`)
			q.containsMailbox(`"to"`, f.Recipient)
			q.add(`)`)
		}
		q.add(`ORDER BY seen DESC, id DESC LIMIT ?`, Filter{Limit: f.Limit}.limit())
		return nil
	}, func(scan scanner) (x Refusal, err error) {
		err = scan(&x.Host, timeInto(&x.First), timeInto(&x.Last), prefixInto(&x.Network), &x.EHLO, &x.Command, &x.From, &x.To,
			&x.Reply, &x.Remote, &x.Count, &x.Session, timeOrNullInto(&x.Accepted))
		return x, err
	})
}

// containsMailbox appends the condition that a column of mailboxes contains a text, or that one of
// them is the domain of that text: of addresses often the domain only is kept.
func (q *query) containsMailbox(column, text string) {
	q.add(column+` LIKE ? ESCAPE '\'`, "%"+escapeLike.Replace(text)+"%")
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		q.add(`OR ', ' || `+column+` || ', ' LIKE ? ESCAPE '\'`, "%, "+escapeLike.Replace(text[at+1:])+", %")
	}
}
