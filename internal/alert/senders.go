package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/delivery"
	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/safetext"
	"postern/interop"
)

const (
	// saveInterval is how often what the rules know of senders is stored: a crash costs the
	// time to read that many sessions again.
	saveInterval = time.Hour

	// maxReads bounds the reads of a check: it waits for some of the sessions of a busy hour,
	// and not for those of the weeks before an upgrade.
	maxReads = 30

	// maxStored bounds what is stored, in bytes.
	maxStored = 12 << 20

	// sendersMemory is the name of what these rules store.
	sendersMemory = "senders"

	// maxShown is how many networks a text names.
	maxShown = 5
)

// senderRules are the rules about senders.
type senderRules struct {
	rhythms  *rhythms
	unknowns *unknowns
	reads    int   // of a check, at most
	last     int64 // id of the last try that they know
	saved    time.Time
}

// storedSenders is what senderRules store.
type storedSenders struct {
	Last     int64         `json:"last"`
	Rhythms  storedRhythms `json:"rhythms"`
	Unknowns []*unknown    `json:"unknowns"`
}

// restoreSenders returns the rules with what they have stored. With an error they know nothing.
func restoreSenders(ctx context.Context, reader *ledger.Reader) (*senderRules, error) {
	rules := &senderRules{rhythms: newRhythms(), unknowns: newUnknowns(), reads: maxReads}
	text, err := reader.Memory(ctx, sendersMemory)
	if err != nil || text == nil {
		return rules, err
	}
	return rules, rules.restore(text)
}

// restore takes over what was stored.
func (s *senderRules) restore(text []byte) error {
	var stored storedSenders
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	s.last = stored.Last
	s.rhythms.restore(stored.Rhythms)
	s.unknowns.restore(stored.Unknowns)
	return nil
}

// read reads the tries since the last ones. It reports whether there are no more.
func (s *senderRules) read(ctx context.Context, reader *ledger.Reader, now time.Time) (caughtUp bool, err error) {
	for range s.reads {
		tries, err := reader.Tries(ctx, s.last)
		if err != nil {
			return false, err
		}
		for _, t := range tries {
			s.note(t)
		}
		if len(tries) < ledger.MaxTries {
			s.rhythms.expire(now)
			return true, nil
		}
	}
	return false, nil
}

func (s *senderRules) note(t ledger.Try) {
	s.last = t.ID
	s.rhythms.note(organization.Of(t.Name, t.EHLO), t)
	s.unknowns.note(t)
}

// save stores what the rules know, once in a while.
func (s *senderRules) save(book *ledger.Ledger, now time.Time) {
	if s.saved.IsZero() {
		s.saved = now
	}
	if now.Sub(s.saved) >= saveInterval {
		s.saved = now
		s.rhythms.forgetOld(now)
		s.saveNow(book)
	}
}

func (s *senderRules) saveNow(book *ledger.Ledger) {
	book.PutMemory(sendersMemory, s.stored())
}

// stored returns what the rules know as JSON. It forgets senders with long names until that is not
// too large for the ledger's queue: usual ones take 150 bytes.
func (s *senderRules) stored() []byte {
	for {
		text, err := json.Marshal(storedSenders{s.last, s.rhythms.stored(), s.unknowns.stored()})
		if err != nil || len(text) <= maxStored {
			return text // without an error: numbers, times and names can be encoded
		}
		s.rhythms.shrink(len(s.rhythms.all) / 2)
	}
}

// A judgement is what package delivery says of the senders that fail, as the overview shows it.
type judgement []delivery.Sender

// clears reports whether the senders of a name deliver, or may not be senders, although they fail.
func (j judgement) clears(of name) bool {
	cleared := false
	for _, s := range j {
		if s.Organization.Domain != of.organization || of.network.IsValid() && s.Network != of.network {
			continue
		}
		if s.Effect == delivery.CannotDeliver {
			return false
		}
		cleared = true
	}
	return cleared
}

// next returns the next step about the senders of a subject, as the overview has it: that of the
// last one that failed. It is empty if they are not judged.
func (j judgement) next(subject string) string {
	var last *delivery.Sender
	for i, s := range j {
		if s.Effect == delivery.CannotDeliver && SubjectOf(s.Organization.Domain, s.Network) == subject && (last == nil || s.Last.After(last.Last)) {
			last = &j[i]
		}
	}
	if last == nil {
		return ""
	}
	known, _ := interop.Find(last.Diagnosis.Case)
	return delivery.NextStep(last.Effect, known, last.Next, false, []netip.Prefix{last.Network})
}

// SubjectOf returns what an alert about senders is about: their organization, or their network
// without one.
func SubjectOf(organization string, network netip.Prefix) string {
	if organization == "" {
		return network.String()
	}
	return organization
}

// conditions returns what is wrong with senders now.
func (s *senderRules) conditions(now time.Time, judged judgement) []Condition {
	all := s.rhythms.conditions(judged)
	return append(all, s.unknowns.conditions(now)...)
}

// trouble is what the senders of one organisation, or of one network without, have in common.
type trouble struct {
	networks []netip.Prefix
	known    int64 // tries from these networks
	whole    bool  // the organisation as a whole, too
	run      run   // of all of them
}

func (t *trouble) add(of name, r run) {
	if of.network.IsValid() {
		t.networks = append(t.networks, of.network)
		t.known += r.Tries
	} else {
		t.whole = true
	}
	// The organisation's own run has the tries of all its networks.
	if t.run.Tries == 0 || r.Since.Before(t.run.Since) {
		t.run.Since = r.Since
	}
	if !of.network.IsValid() || t.run.Tries < r.Tries {
		t.run.Tries = max(t.run.Tries, r.Tries)
	}
	if r.Last.After(t.run.Last) {
		t.run.Last, t.run.Case, t.run.ID = r.Last, r.Case, r.ID
	}
}

// stoppedSince returns since when senders have stopped delivering, if there are any.
func (rs *rhythms) stoppedSince() (since time.Time, any bool) {
	for _, r := range rs.troubled {
		if rs.stopped(r) && (!any || r.Failing.Since.Before(since)) {
			since, any = r.Failing.Since, true
		}
	}
	return since, any
}

// conditions returns which senders have stopped delivering, and which send in plaintext. The
// judgement is about failed handshakes only: of senders that complete them and leave, the rhythm
// alone is known.
func (rs *rhythms) conditions(judged judgement) (all []Condition) {
	stopped, plain := make(map[string]*trouble), make(map[string]*trouble)
	note := func(to map[string]*trouble, of name, r run) {
		subject := SubjectOf(of.organization, of.network)
		if to[subject] == nil {
			to[subject] = new(trouble)
		}
		to[subject].add(of, r)
	}
	for of, r := range rs.troubled {
		if rs.stopped(r) && (r.Failing.Case == "" || !judged.clears(of)) {
			note(stopped, of, r.Failing)
		}
		if r.Plaintext.Tries > 0 {
			note(plain, of, r.Plaintext)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(stopped)) {
		c := stopped[subject].stopped(subject)
		if next := judged.next(subject); next != "" && stopped[subject].run.Case != "" {
			c.Next = next
		}
		all = append(all, c)
	}
	for _, subject := range slices.Sorted(maps.Keys(plain)) {
		all = append(all, plain[subject].inPlaintext(subject))
	}
	return all
}

func (t *trouble) stopped(subject string) Condition {
	c := Condition{Kind: SenderStopped, Subject: subject, Since: t.run.Since}
	c.Text = fmt.Sprintf("%s used to deliver and has not since %s: %s failed", safetext.Printable(subject), stamp(t.run.Since), plural(t.run.Tries, "try", "tries"))
	c.Text += t.where(subject)
	c.Next = "See why with postern handshakes show " + t.run.ID + "."
	switch found, ok := interop.Find(t.run.Case); {
	case t.run.Case == "":
		c.Text += " The handshakes complete, and the sender leaves without a command, as those do that do not trust the certificate."
		c.Next = "Check the certificate, MTA-STS and TLSA records with postern probe."
	case ok:
		c.Text += fmt.Sprintf(" The last failure looks like %s: %s.", found.ID, found.Title)
		c.Next = found.Remedy.Postern
	default:
		c.Text += " The last failure matches no known case."
	}
	return c
}

func (t *trouble) inPlaintext(subject string) Condition {
	return Condition{
		Kind: SenderInPlaintext, Subject: subject, Since: t.run.Since,
		Text: fmt.Sprintf("%s used TLS. Since %s it delivers in plaintext after failed handshakes: %s", safetext.Printable(subject),
			stamp(t.run.Since), plural(t.run.Tries, "session", "sessions")) + t.where(subject),
		Next: "See the failed handshakes before with postern handshakes --returned --sender " + subject + ".",
	}
}

// where ends a sentence with the networks.
func (t *trouble) where(subject string) string {
	if len(t.networks) == 0 || t.networks[0].String() == subject {
		return "."
	}
	slices.SortFunc(t.networks, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var names []string
	for _, network := range t.networks[:min(len(t.networks), maxShown)] {
		names = append(names, network.String())
	}
	text := ", from " + strings.Join(names, ", ")
	switch more := len(t.networks) - maxShown; {
	case more > 0:
		text += " and " + plural(int64(more), "more network", "more networks")
	case t.whole && t.known < t.run.Tries:
		text += " and other networks"
	}
	return text + "."
}

// stamp is a time as texts have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
