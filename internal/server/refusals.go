package server

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
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
	// sumInterval is how often refused commands beyond the rate are summed up.
	sumInterval = time.Minute

	// maxSums bounds the networks that are summed up for themselves in one interval, and
	// maxSumLines those with a line in the log: the others are one.
	maxSums     = 1024
	maxSumLines = 20

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
// the Starts of a network and in total.
var refusalRate = admission.Quotas{
	Total:      admission.Quota{Starts: 20},
	PerNetwork: admission.Quota{Starts: 2},
}

// A refusalBook logs refused commands and stores them, each for itself up to refusalRate.
// More are counted for each network, and the counts logged and stored once a minute.
type refusalBook struct {
	ledger    *ledger.Ledger
	log       *slog.Logger
	addresses smtp.AddressDetail // in the ledger; the log's own handler applies the log's
	limiter   *admission.Limiter

	mu        sync.Mutex
	since     time.Time                    // the last sum
	sums      map[netip.Prefix]*refusalSum // since the last one; the zero Prefix is for others
	deferrals map[deferral]time.Time       // and when
}

// A deferral is a deferred command as it is stored.
type deferral struct {
	network  netip.Prefix
	from, to string
}

// A refusalSum counts the commands of a network.
type refusalSum struct{ refused, deferred int64 }

func newRefusalBook(l *ledger.Ledger, log *slog.Logger, addresses smtp.AddressDetail) *refusalBook {
	return &refusalBook{
		ledger: l, log: log, addresses: addresses, limiter: admission.New(), since: time.Now(),
		sums: make(map[netip.Prefix]*refusalSum), deferrals: make(map[deferral]time.Time),
	}
}

// refused logs and stores a command.
func (b *refusalBook) refused(c smtpd.RefusedCommand) {
	network := admission.Network(c.Sender.Addr())
	if !b.limiter.AllowStart(network, refusalRate) {
		b.count(network, c.Reply)
		return
	}
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

// count counts a command that gets no line.
func (b *refusalBook) count(network netip.Prefix, reply smtp.Reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sums[network] == nil && len(b.sums) >= maxSums {
		network = netip.Prefix{}
	}
	sum := b.sums[network]
	if sum == nil {
		sum = new(refusalSum)
		b.sums[network] = sum
	}
	if reply.Transient() {
		sum.deferred++
	} else {
		sum.refused++
	}
}

// run sums up until closed is closed, and once more then.
func (b *refusalBook) run(closed <-chan struct{}) {
	tick := time.NewTicker(sumInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.sumUp(time.Now())
		case <-closed:
			b.sumUp(time.Now())
			return
		}
	}
}

// sumUp logs and stores the counts: those of the largest for themselves, the others together.
func (b *refusalBook) sumUp(now time.Time) {
	b.mu.Lock()
	sums, took := b.sums, now.Sub(b.since).Round(time.Second)
	b.since, b.sums = now, make(map[netip.Prefix]*refusalSum)
	maps.DeleteFunc(b.deferrals, func(_ deferral, at time.Time) bool { return now.Sub(at) > deferredTime })
	b.mu.Unlock()
	others := sums[netip.Prefix{}]
	delete(sums, netip.Prefix{})
	networks := slices.SortedFunc(maps.Keys(sums), func(x, y netip.Prefix) int {
		return cmp.Or(cmp.Compare(sums[y].total(), sums[x].total()), x.Compare(y))
	})
	for i, network := range networks {
		if i < maxSumLines {
			b.logSum(network.String(), *sums[network], took)
			b.storeSum(now, network, *sums[network])
			continue
		}
		if others == nil {
			others = new(refusalSum)
		}
		others.refused += sums[network].refused
		others.deferred += sums[network].deferred
	}
	if others != nil {
		b.logSum("others", *others, took)
		b.storeSum(now, netip.Prefix{}, *others)
	}
}

func (s refusalSum) total() int64 { return s.refused + s.deferred }

func (b *refusalBook) logSum(network string, sum refusalSum, took time.Duration) {
	b.log.LogAttrs(context.Background(), slog.LevelInfo, "more commands refused",
		slog.String(logkey.Network, network),
		slog.Int64(logkey.Refused, sum.refused),
		slog.Int64(logkey.Deferred, sum.deferred),
		slog.Duration(logkey.Duration, took),
	)
}

func (b *refusalBook) storeSum(now time.Time, network netip.Prefix, sum refusalSum) {
	for reply, n := range map[string]int64{"5xx": sum.refused, "4xx": sum.deferred} {
		if n > 0 {
			b.ledger.AddRefusal(ledger.Refusal{Last: now, Network: network, Reply: reply, Count: n})
		}
	}
}

// note remembers a deferred command, to see whether a message like it is accepted later. Where
// no addresses are kept, there is nothing to compare.
func (b *refusalBook) note(d deferral, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.deferrals[d]; (ok || len(b.deferrals) < maxDeferrals) && b.addresses != smtp.NoAddress {
		b.deferrals[d] = at
	}
}

// accepted notes with the deferred commands of a sender that a message was accepted, as after
// greylisting.
func (b *refusalBook) accepted(m smtpd.AcceptedMessage) {
	recipients := m.Recipients[:min(len(m.Recipients), maxRecipients)]
	deferred := []string{"", b.kept(recipients)} // MAIL, and the text
	for _, mailbox := range recipients {
		deferred = append(deferred, b.kept([]string{mailbox}))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range deferred {
		d := deferral{admission.Network(m.Sender.Addr()), b.addresses.Of(m.From), to}
		if _, ok := b.deferrals[d]; ok {
			delete(b.deferrals, d)
			b.ledger.AddAcceptance(ledger.Acceptance{At: m.At, Network: d.network, From: d.from, To: d.to})
		}
	}
}
