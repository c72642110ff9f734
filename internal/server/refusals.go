package server

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/internal/smtpd"
)

const (
	// maxReplyText bounds the text of a reply, in bytes: a next hop may send far longer
	// ones.
	maxReplyText = 500

	// maxRecipients bounds the recipients of a message that are named.
	maxRecipients = 10

	// maxDeferrals bounds the deferred commands that are remembered.
	maxDeferrals = 4096

	// deferredTime is how long after a deferral an accepted message is noted with it: after
	// five days, senders give up (RFC 5321, Section 4.5.4.1).
	deferredTime = 5 * 24 * time.Hour
)

// refusalRate is how many refused commands get a line in the log and a row in the ledger:
// two a second for an address.
var refusalRate = admission.Quotas{
	Total:      admission.Quota{Starts: 20},
	PerNetwork: admission.Quota{Starts: 8},
}

// A refusalBook logs refused commands and stores them, each for itself up to refusalRate.
// More are counted for each network, and the counts logged and stored once a minute.
type refusalBook struct {
	ledger    *ledger.Ledger
	log       *slog.Logger
	addresses smtp.AddressDetail // in the ledger; the log's own handler applies the log's
	tally     *admission.Tally

	mu        sync.Mutex
	deferrals *admission.Memory[deferral, time.Time] // and when
}

// A deferral is a deferred command as it is stored.
type deferral struct {
	network  netip.Prefix
	from, to string
}

func newRefusalBook(l *ledger.Ledger, log *slog.Logger, addresses smtp.AddressDetail) *refusalBook {
	b := &refusalBook{ledger: l, log: log, addresses: addresses}
	b.deferrals = admission.NewMemory[deferral, time.Time](maxDeferrals, func(d deferral) netip.Prefix { return d.network })
	b.tally = admission.NewTally(refusalRate, b.sumUp)
	return b
}

// refused logs and stores a command.
func (b *refusalBook) refused(c smtpd.RefusedCommand) {
	if !b.tally.Line(c.Sender.Addr(), kindOf(c.Reply)) {
		return
	}
	network := admission.Network(c.Sender.Addr())
	recipients := c.Recipients[:min(len(c.Recipients), maxRecipients)]
	by := "postern"
	if c.Reply.Remote {
		by = "next hop"
	}
	reply := safetext.Reply(c.Reply.String(), maxReplyText)
	attrs := []slog.Attr{
		slog.String(logkey.Session, c.Session),
		slog.String(logkey.Sender, c.Sender.String()),
		slog.String(logkey.EHLO, c.EHLO),
	}
	if c.Probe { // as in the line of its session: anybody can say such a name in EHLO
		attrs = append(attrs, slog.Bool(logkey.Probe, true))
	}
	attrs = append(attrs,
		slog.String(logkey.Command, c.Command),
		slog.String(logkey.From, c.From),
		slog.Any(logkey.Recipients, recipients),
		slog.String(logkey.Reply, reply),
		slog.String(logkey.By, by),
	)
	b.log.LogAttrs(context.Background(), slog.LevelInfo, "command refused", attrs...)
	if c.Probe {
		return
	}
	from, to := b.addresses.Of(c.From), b.kept(recipients)
	if c.Reply.Transient() {
		b.note(deferral{network, from, to}, c.At)
	}
	b.ledger.AddRefusal(ledger.Refusal{
		Last: c.At, Network: network, EHLO: b.addresses.In(c.EHLO), Command: c.Command, From: from, To: to,
		// Without the session's ID, so that equal replies are counted together.
		Reply: b.addresses.In(strings.Replace(reply, " (id "+c.Session+")", "", 1)), Remote: c.Reply.Remote,
		Count: 1, Session: c.Session,
	})
}

// kept returns recipients in one text, as they are kept in the ledger.
func (b *refusalBook) kept(recipients []string) string {
	var all []string
	for _, mailbox := range recipients {
		if text := strings.ToLower(b.addresses.Of(mailbox)); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// kindOf is the kind of a refused command in the sums.
func kindOf(reply smtp.Reply) int {
	if reply.Transient() {
		return deferred
	}
	return refused
}

const (
	refused  = 0
	deferred = 1
)

// sumUp logs and stores the counts of commands that got no line.
func (b *refusalBook) sumUp(sums []admission.Sum, took time.Duration) {
	now := time.Now()
	for _, sum := range sums {
		b.log.LogAttrs(context.Background(), slog.LevelInfo, "more commands refused",
			slog.String(logkey.Network, sum.String()),
			slog.Int64(logkey.Refused, sum.Counts[refused]),
			slog.Int64(logkey.Deferred, sum.Counts[deferred]),
			slog.Duration(logkey.Duration, took),
		)
		for kind, reply := range []string{refused: "5xx", deferred: "4xx"} {
			if n := sum.Counts[kind]; n > 0 {
				b.ledger.AddRefusal(ledger.Refusal{Last: now, Network: sum.Network, Reply: reply, Count: n})
			}
		}
	}
}

// note remembers a deferred command, to see whether a message like it is accepted later. Where
// no addresses are kept, there is nothing to compare.
func (b *refusalBook) note(d deferral, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addresses == smtp.NoAddress {
		return
	}
	b.deferrals.Set(d, at)
}

// accepted notes with the deferred commands of a sender that a message was accepted, as after
// greylisting.
func (b *refusalBook) accepted(m smtpd.AcceptedMessage) {
	network := admission.Network(m.Sender.Addr())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deferrals.CountOf(network) == 0 {
		return
	}
	recipients := m.Recipients[:min(len(m.Recipients), maxRecipients)]
	deferred := []string{"", b.kept(recipients)} // MAIL, and the text
	for _, mailbox := range recipients {
		deferred = append(deferred, b.kept([]string{mailbox}))
	}
	for _, to := range deferred {
		d := deferral{network, b.addresses.Of(m.From), to}
		if at, ok := b.deferrals.Get(d); ok {
			b.deferrals.Delete(d)
			if m.At.Sub(at) > deferredTime {
				continue
			}
			b.ledger.AddAcceptance(ledger.Acceptance{At: m.At, Network: d.network, From: d.from, To: d.to})
		}
	}
}
