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

// Activity is what the ledger recorded of the report's sender in the report's hours.
type Activity struct {
	Unverified bool   // the report is: anyone can have written it, and named the sender
	NotChecked string // why the ledger was not searched; the rest is empty then

	Domains []string // of the sender's host names; empty if the report gives addresses
	NoDNS   bool     // there was no resolver
	Senders []Sender // most failures first
	During  ledger.Counts
	Cases   map[string]int64 // failed sessions of During by case ID, or [ledger.Unknown]
	Unsure  map[string]int64 // those in Cases whose diagnosis is no more than possible
	Unused  int64            // TLS sessions of During that ended without a command
	After   ledger.Counts    // from the end of the report until now

	// Mismatched counts addresses that used the sender's names in EHLO but have a
	// confirmed name in another domain. Their sessions do not count.
	Mismatched int
}

// A Sender is an address of the report's sender.
type Sender struct {
	ledger.Activity
	Match Match
	Name  string // by forward-confirmed reverse DNS; empty if unknown
}

// A Match is how an address was recognised as the sender's.
type Match string

// The ways to match an address, most reliable first.
const (
	ByAddress    Match = "address" // the report gives it
	ByReverseDNS Match = "dns"     // its name by forward-confirmed reverse DNS
	ByEHLO       Match = "ehlo"    // its EHLO name, which any client can choose
)

// activity searches the ledger for the sender of the report.
func (x Explainer) activity(ctx context.Context, q Question) (Activity, error) {
	if why := x.whyNotMatched(q); why != "" {
		return Activity{NotChecked: why}, nil
	}
	hours := ledger.Span{From: q.Report.Start, To: q.Report.End.Add(time.Second)} // many reports end at 23:59:59
	if given := sendingAddresses(q.Report); len(given) > 0 {
		return x.match(ctx, q, hours, ledger.SenderQuery{Addresses: given}, nil)
	}
	whose := ledger.SenderQuery{Domains: hostDomains(q.Submitter)}
	if len(whose.Domains) == 0 {
		return Activity{NotChecked: "the report gives no sender addresses, and no domain to search for"}, nil
	}
	names, err := x.confirmedNames(ctx, hours, whose)
	if err != nil {
		return Activity{}, err
	}
	for _, addr := range slices.SortedFunc(maps.Keys(names), netip.Addr.Compare) {
		if inDomains(names[addr], whose.Domains) {
			whose.Addresses = append(whose.Addresses, addr)
		}
	}
	return x.match(ctx, q, hours, whose, names)
}

// whyNotMatched says why the report cannot be matched to sessions, or returns "".
func (x Explainer) whyNotMatched(q Question) string {
	switch {
	case x.Ledger == nil:
		return "there is no ledger"
	case q.Report.Start.IsZero() || !q.Report.End.After(q.Report.Start):
		return "the report does not say which hours it covers"
	}
	return ""
}

// confirmedNames looks up the names of addresses with failures, and of addresses that
// used the sender's names in EHLO.
func (x Explainer) confirmedNames(ctx context.Context, in ledger.Span, whose ledger.SenderQuery) (map[netip.Addr]string, error) {
	if x.Resolver == nil {
		return nil, nil
	}
	claimed, err := x.Ledger.Activity(ctx, in, whose)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(claimed, func(a, b ledger.Activity) int { return cmp.Compare(b.Failed, a.Failed) })
	failing, err := x.Ledger.FailingAddresses(ctx, in, maxLookups)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	for _, s := range claimed[:min(len(claimed), maxLookups/2)] {
		add(s.Address)
	}
	for _, a := range failing {
		add(a)
	}
	return confirmedNames(ctx, x.Resolver, addrs), nil
}

// match counts the sender's sessions in the report's hours and after them.
func (x Explainer) match(ctx context.Context, q Question, hours ledger.Span, whose ledger.SenderQuery, names map[netip.Addr]string) (Activity, error) {
	a := Activity{Domains: whose.Domains, Cases: make(map[string]int64), Unsure: make(map[string]int64), NoDNS: x.Resolver == nil && whose.Domains != nil}
	found, err := x.Ledger.Activity(ctx, hours, whose)
	if err != nil {
		return a, err
	}
	mismatched := make(map[netip.Addr]bool)
	for _, s := range found {
		if sender, ok := a.recognise(s, names); ok {
			a.add(sender)
		} else {
			mismatched[s.Address] = true
		}
	}
	a.Mismatched = len(mismatched)
	later, err := x.Ledger.Activity(ctx, ledger.Span{From: hours.To, To: q.Now}, whose)
	for _, s := range later {
		if !mismatched[s.Address] {
			a.After.Add(s.Counts)
		}
	}
	slices.SortStableFunc(a.Senders, func(a, b Sender) int { return cmp.Compare(b.Failed, a.Failed) })
	return a, err
}

// recognise says how an address matches the sender: by the name that DNS has now, or had when the
// session was stored. It returns false if its confirmed name is in another domain.
func (a *Activity) recognise(s ledger.Activity, names map[netip.Addr]string) (Sender, bool) {
	name := cmp.Or(names[s.Address], s.Name)
	switch {
	case a.Domains == nil:
		return Sender{Activity: s, Match: ByAddress}, true
	case name == "":
		return Sender{Activity: s, Match: ByEHLO}, true
	}
	return Sender{Activity: s, Match: ByReverseDNS, Name: name}, inDomains(name, a.Domains)
}

func (a *Activity) add(sender Sender) {
	a.Senders = append(a.Senders, sender)
	a.During.Add(sender.Counts)
	a.Unused += sender.Unused
	for id, n := range sender.Cases {
		a.Cases[id] += n
		a.Unsure[id] += sender.Unsure[id]
	}
}

// caseIDs returns the keys of Cases, most sessions first.
func (a Activity) caseIDs() []string {
	return slices.SortedFunc(maps.Keys(a.Cases), func(x, y string) int {
		return cmp.Or(cmp.Compare(a.Cases[y], a.Cases[x]), strings.Compare(x, y))
	})
}

// mainCase returns the case of most failed sessions, or "" if there is none.
func (a Activity) mainCase() string {
	if len(a.Cases) == 0 {
		return ""
	}
	return a.caseIDs()[0]
}

// otherDomains are the domains of a submitter's mail servers if they are not below its
// own domain.
var otherDomains = map[string][]string{
	"microsoft.com": {"outlook.com"}, // golang/go#70232, mjl-/mox#237
}

// hostDomains returns the domains that the host names of a submitter are in: its
// organizational domain, and others that are known. It returns none for a public suffix:
// no one owns all of "com".
func hostDomains(submitter string) []string {
	own, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(submitter, ".")))
	if err != nil {
		return nil
	}
	return append([]string{own}, otherDomains[own]...)
}

// inDomains reports whether a host name is one of the domains or below one.
func inDomains(name string, domains []string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// maxAddresses bounds the addresses of a report that are searched for. A large sender has some
// hundred.
const maxAddresses = 1000

// sendingAddresses returns the sending-mta-ip addresses of the report, most failures first, at
// most maxAddresses.
func sendingAddresses(r *tlsrpt.Report) []netip.Addr {
	failed := make(map[netip.Addr]int64)
	for _, p := range r.Policies {
		for _, f := range p.Failures {
			if f.SendingMTA.IsValid() {
				failed[f.SendingMTA.Unmap()] += f.Sessions
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(failed), func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(failed[b], failed[a]), a.Compare(b))
	})
	return all[:min(len(all), maxAddresses)]
}

// confirmed reports whether at least half of the failures are of addresses that match by
// more than EHLO.
func (a Activity) confirmed() bool {
	var confirmed int64
	for _, sender := range a.Senders {
		if sender.Match != ByEHLO {
			confirmed += sender.Failed
		}
	}
	return 2*confirmed >= a.During.Failed
}

// mostFailures returns the address with most failures of a case.
func (a Activity) mostFailures(id string) netip.Addr {
	return slices.MaxFunc(a.Senders, func(a, b Sender) int { return cmp.Compare(a.Cases[id], b.Cases[id]) }).Address
}

// Text describes the activity in sentences.
func (a Activity) Text() string {
	if a.NotChecked != "" {
		return "Not checked: " + a.NotChecked + "."
	}
	var text []string
	if a.Unverified {
		text = append(text, "The report is unverified, so somebody else may have named this sender.")
	}
	text = append(text, a.matchText())
	if len(a.Senders) > 0 {
		text = append(text, fmt.Sprintf("Sessions: %d failed, %d completed TLS, %d stayed in plaintext.",
			a.During.Failed, a.During.Full+a.During.Resumed, a.During.Plaintext))
	}
	if a.Unused > 0 {
		text = append(text, fmt.Sprintf("%d of those that completed TLS ended without a command.", a.Unused))
	}
	if len(a.Cases) > 0 {
		text = append(text, "The failures match "+a.casesText()+".")
	}
	if a.During.Returned > 0 {
		text = append(text, fmt.Sprintf("After a failed handshake %s came back in plaintext.", count(a.During.Returned, "session")))
	}
	if a.Mismatched > 0 {
		text = append(text, "Not counted: "+count(int64(a.Mismatched), "address")+" with such a name in EHLO but another in reverse DNS.")
	}
	if a.After != (ledger.Counts{}) {
		text = append(text, fmt.Sprintf("Since then %d failed and %d completed TLS.", a.After.Failed, a.After.Full+a.After.Resumed))
	}
	return strings.Join(text, " ")
}

// matchText says which addresses were found, and how, or what was searched for.
func (a Activity) matchText() string {
	if len(a.Senders) == 0 {
		return "No sessions from the sender in these hours: " + a.notFoundText() + "."
	}
	all, byEHLO := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for _, sender := range a.Senders {
		all[sender.Address] = true
		if sender.Match == ByEHLO {
			byEHLO[sender.Address] = true
		}
	}
	text := "Matched to sessions from " + count(int64(len(all)), "address")
	switch {
	case a.Domains == nil:
		return text + " by the addresses in the report."
	case len(byEHLO) == 0:
		return text + " by forward-confirmed reverse DNS in " + a.domainsText(" and ") + "."
	case a.NoDNS:
		return text + " by EHLO names in " + a.domainsText(" and ") + " (reverse DNS not checked)."
	case len(byEHLO) == len(all):
		return text + " by EHLO names in " + a.domainsText(" and ") + ", which DNS does not confirm."
	}
	return fmt.Sprintf("%s with names in %s: %d by forward-confirmed reverse DNS, %d by EHLO, which DNS does not confirm.",
		text, a.domainsText(" and "), len(all)-len(byEHLO), len(byEHLO))
}

func (a Activity) notFoundText() string {
	switch {
	case a.Domains == nil:
		return "none from the addresses in the report"
	case a.NoDNS:
		return "no EHLO name in " + a.domainsText(" or ") + " (reverse DNS not checked)"
	}
	return "no host name in " + a.domainsText(" or ") + ", in reverse DNS or EHLO"
}

func (a Activity) domainsText(separator string) string {
	all := make([]string, len(a.Domains))
	for i, d := range a.Domains {
		all[i] = named(d)
	}
	return strings.Join(all, separator)
}

func (a Activity) casesText() string {
	var parts []string
	for _, id := range a.caseIDs() {
		name := id
		if id == ledger.Unknown {
			name = "no known case"
		}
		parts = append(parts, fmt.Sprintf("%s (%d×)", name, a.Cases[id]))
	}
	return strings.Join(parts, ", ")
}
