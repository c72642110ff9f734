package tlsrptexplain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"postern/internal/ledger"
	"postern/tlsrpt"
)

// Activity is what we saw ourselves of the sender in the report's hours.
type Activity struct {
	NotChecked string // why nobody looked; the rest is empty then

	Domains []string // that the sender's names lie in; empty: the report gives its addresses
	NoDNS   bool     // nobody was to look up names in DNS
	Senders []Sender // those with most failures first
	Cases   []Case   // of the sessions that failed, the most first
	During  ledger.Counts
	Unused  int64         // of those that got in over TLS: they left without a command
	After   ledger.Counts // from the report's end until now

	// Mismatched are addresses that called themselves by the sender's names, and whose names in DNS
	// are others'. Their sessions do not count.
	Mismatched int
}

// A Sender is an address of the sender's that we saw.
type Sender struct {
	ledger.Activity
	Match Match
	Name  string // in DNS, and it leads back to the address; empty: not known
}

// Match a session is known to be the sender's.
type Match string

// The ways, the surest first.
const (
	ByAddress    Match = "address" // the report gives it
	ByReverseDNS Match = "dns"     // its name in DNS, which leads back to it
	ByEHLO       Match = "ehlo"    // what it called itself: its own word
)

// A Case counts sessions that failed alike.
type Case struct {
	ID       string // as in package interop, or [ledger.Unknown]
	Sessions int64
}

// sure tells whether most failures are known to be the sender's by more than its word.
func (s Activity) sure() bool {
	var proven int64
	for _, sender := range s.Senders {
		if sender.Match != ByEHLO {
			proven += sender.Failed
		}
	}
	return 2*proven >= s.During.Failed
}

// failedMost is the address with most failures of a case.
func (s Activity) failedMost(id string) netip.Addr {
	return slices.MaxFunc(s.Senders, func(a, b Sender) int { return cmp.Compare(a.Cases[id], b.Cases[id]) }).Address
}

// Text says what was seen, in sentences.
func (s Activity) Text() string {
	if s.NotChecked != "" {
		return "Not looked at: " + s.NotChecked + "."
	}
	said := []string{s.whom()}
	if len(s.Senders) > 0 {
		said = append(said, fmt.Sprintf("Of their sessions %d failed, %d got in over TLS, %d in plaintext.", s.During.Failed, s.During.Full+s.During.Resumed, s.During.Plaintext))
	}
	if s.Unused > 0 {
		said = append(said, fmt.Sprintf("Of those that got in %d left without a command.", s.Unused))
	}
	if len(s.Cases) > 0 {
		said = append(said, "What failed looks like "+s.cases()+".")
	}
	if s.During.Returned > 0 {
		said = append(said, fmt.Sprintf("In plaintext after a failed handshake: %d.", s.During.Returned))
	}
	if s.Mismatched > 0 {
		said = append(said, count(int64(s.Mismatched), "address")+" used their names, and DNS says otherwise: not counted.")
	}
	if in := s.After.Full + s.After.Resumed; s.After != (ledger.Counts{}) {
		said = append(said, fmt.Sprintf("Since then %d failed and %d got in over TLS.", s.After.Failed, in))
	}
	return strings.Join(said, " ")
}

// whom says who was looked for, and who was found.
func (s Activity) whom() string {
	if len(s.Senders) == 0 {
		return "We saw nothing from them in these hours" + s.missed() + "."
	}
	addresses, claimed := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for _, sender := range s.Senders {
		addresses[sender.Address] = true
		if sender.Match == ByEHLO {
			claimed[sender.Address] = true
		}
	}
	text := fmt.Sprintf("We saw %s of theirs, by ", count(int64(len(addresses)), "address"))
	switch {
	case s.Domains == nil:
		return text + "the addresses that the report gives."
	case len(claimed) == 0:
		return text + "names in " + s.domains(" and ") + " that DNS confirms."
	}
	return text + fmt.Sprintf("names in %s; %d of these by EHLO alone, which is their own word.", s.domains(" and "), len(claimed))
}

// missed says what was looked for in vain.
func (s Activity) missed() string {
	switch {
	case s.Domains == nil:
		return ", by the addresses that the report gives"
	case s.NoDNS:
		return ": no name in " + s.domains(" or ") + " by EHLO; DNS was not to be asked"
	}
	return ": no name in " + s.domains(" or ") + ", neither in DNS nor by EHLO"
}

// domains are those that the sender's names lie in.
func (s Activity) domains(between string) string {
	all := make([]string, len(s.Domains))
	for i, d := range s.Domains {
		all[i] = named(d)
	}
	return strings.Join(all, between)
}

func (s Activity) cases() string {
	parts := make([]string, len(s.Cases))
	for i, c := range s.Cases {
		parts[i] = fmt.Sprintf("%s (%d×)", c.ID, c.Sessions)
		if c.ID == ledger.Unknown {
			parts[i] = fmt.Sprintf("no known case (%d×)", c.Sessions)
		}
	}
	return strings.Join(parts, ", ")
}

// look finds the sender of the report in the ledger.
func (x Explainer) look(ctx context.Context, q Question) (Activity, error) {
	if why := x.unasked(q); why != "" {
		return Activity{NotChecked: why}, nil
	}
	hours := ledger.Span{From: q.Report.Start, To: q.Report.End.Add(time.Second)} // many end at 23:59:59
	if given := addressesOf(q.Report); len(given) > 0 {
		return x.count(ctx, q, hours, ledger.SenderQuery{Addresses: given}, nil)
	}
	s := Activity{Domains: domainsOf(q.Submitter)}
	if len(s.Domains) == 0 {
		return Activity{NotChecked: "the report gives no addresses, and its submitter is no domain whose servers could be told"}, nil
	}
	whose := ledger.SenderQuery{Domains: s.Domains}
	names, err := x.names(ctx, hours, whose)
	if err != nil {
		return s, err
	}
	for _, addr := range slices.SortedFunc(maps.Keys(names), netip.Addr.Compare) {
		if within(names[addr], s.Domains) {
			whose.Addresses = append(whose.Addresses, addr)
		}
	}
	return x.count(ctx, q, hours, whose, names)
}

// unasked says why the ledger cannot be asked, if that is so.
func (x Explainer) unasked(q Question) string {
	switch {
	case !q.Verified:
		return "the report is not trusted: anybody can write one, so it is not laid beside our sessions"
	case x.Ledger == nil:
		return "no ledger was found"
	case q.Report.Start.IsZero() || !q.Report.End.After(q.Report.Start):
		return "the report does not say which hours it is about"
	}
	return ""
}

// names looks up who those are that had trouble, and those that use the party's names.
func (x Explainer) names(ctx context.Context, in ledger.Span, whose ledger.SenderQuery) (map[netip.Addr]string, error) {
	if x.Resolver == nil {
		return nil, nil
	}
	claimed, err := x.Ledger.Activity(ctx, in, whose)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(claimed, func(a, b ledger.Activity) int { return cmp.Compare(b.Failed, a.Failed) })
	troubled, err := x.Ledger.FailingAddresses(ctx, in, maxLookups)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, s := range claimed[:min(len(claimed), maxLookups/2)] {
		addrs = append(addrs, s.Address)
	}
	addrs = slices.DeleteFunc(append(addrs, troubled...), func(a netip.Addr) bool { return !a.IsValid() })
	return namesOf(ctx, x.Resolver, unique(addrs)), nil
}

func unique(addrs []netip.Addr) (all []netip.Addr) {
	known := make(map[netip.Addr]bool)
	for _, a := range addrs {
		if !known[a] {
			known[a] = true
			all = append(all, a)
		}
	}
	return all
}

// count counts what the party did, within the span and after it.
func (x Explainer) count(ctx context.Context, q Question, hours ledger.Span, whose ledger.SenderQuery, names map[netip.Addr]string) (Activity, error) {
	s := Activity{Domains: whose.Domains, NoDNS: x.Resolver == nil && whose.Domains != nil}
	found, err := x.Ledger.Activity(ctx, hours, whose)
	if err != nil {
		return s, err
	}
	strangers := make(map[netip.Addr]bool)
	for _, sighting := range found {
		if sender, ok := s.recognise(sighting, names); ok {
			s.take(sender)
		} else {
			strangers[sighting.Address] = true
		}
	}
	s.Mismatched = len(strangers)
	later, err := x.Ledger.Activity(ctx, ledger.Span{From: hours.To, To: q.Now}, whose)
	for _, sighting := range later {
		if !strangers[sighting.Address] {
			s.After.Add(sighting.Counts)
		}
	}
	slices.SortStableFunc(s.Senders, func(a, b Sender) int { return cmp.Compare(b.Failed, a.Failed) })
	slices.SortFunc(s.Cases, func(a, b Case) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), strings.Compare(a.ID, b.ID))
	})
	return s, err
}

// recognise says how a sighting is known to be the sender's, unless it is a stranger's.
func (s *Activity) recognise(sighting ledger.Activity, names map[netip.Addr]string) (Sender, bool) {
	name := names[sighting.Address]
	switch {
	case s.Domains == nil:
		return Sender{Activity: sighting, Match: ByAddress}, true
	case name == "":
		return Sender{Activity: sighting, Match: ByEHLO}, true
	}
	return Sender{Activity: sighting, Match: ByReverseDNS, Name: name}, within(name, s.Domains)
}

func (s *Activity) take(sender Sender) {
	s.Senders = append(s.Senders, sender)
	s.During.Add(sender.Counts)
	s.Unused += sender.Unused
	for id, n := range sender.Cases {
		i := slices.IndexFunc(s.Cases, func(c Case) bool { return c.ID == id })
		if i < 0 {
			i = len(s.Cases)
			s.Cases = append(s.Cases, Case{ID: id})
		}
		s.Cases[i].Sessions += n
	}
}

// aliases are the domains that a submitter's servers call themselves by, where that is
// not its own.
var aliases = map[string][]string{
	"microsoft.com": {"outlook.com"}, // golang/go#70232, mjl-/mox#237
}

// domainsOf are the domains that the names of a submitter's servers lie in: its own without what
// stands before it, and others that are known. None for what is no domain below a public suffix:
// the whole of "com" is nobody.
func domainsOf(submitter string) []string {
	own, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(submitter, ".")))
	if err != nil {
		return nil
	}
	return append([]string{own}, aliases[own]...)
}

// within tells whether a name is one of the domains, or lies below one.
func within(name string, domains []string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// addressesOf are those that the report gives as the sender's, those with most failures first.
func addressesOf(r *tlsrpt.Report) []netip.Addr {
	failed := make(map[netip.Addr]int64)
	for _, p := range r.Policies {
		for _, f := range p.Failures {
			if f.SendingMTA.IsValid() {
				failed[f.SendingMTA.Unmap()] += f.Sessions
			}
		}
	}
	return slices.SortedFunc(maps.Keys(failed), func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(failed[b], failed[a]), a.Compare(b))
	})
}
