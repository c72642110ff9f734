package tlsrptexplain

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
)

// look finds the sender of the report in the ledger.
func (x Explainer) look(ctx context.Context, q Question) (Seen, error) {
	if why := x.unasked(q); why != "" {
		return Seen{Unasked: why}, nil
	}
	hours := ledger.Span{From: q.Report.Start, To: q.Report.End.Add(time.Second)} // many end at 23:59:59
	if given := addressesOf(q.Report); len(given) > 0 {
		return x.count(ctx, q, hours, ledger.Party{Addresses: given}, nil)
	}
	s := Seen{Domains: domainsOf(q.Submitter)}
	if len(s.Domains) == 0 {
		return Seen{Unasked: "the report gives no addresses, and its submitter is no domain whose servers could be told"}, nil
	}
	whose := ledger.Party{Domains: s.Domains}
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
	case !q.Trusted:
		return "the report is not trusted: anybody can write one, so it is not laid beside our sessions"
	case x.Ledger == nil:
		return "no ledger was found"
	case q.Report.Start.IsZero() || !q.Report.End.After(q.Report.Start):
		return "the report does not say which hours it is about"
	}
	return ""
}

// names looks up who those are that had trouble, and those that use the party's names.
func (x Explainer) names(ctx context.Context, in ledger.Span, whose ledger.Party) (map[netip.Addr]string, error) {
	if x.Resolver == nil {
		return nil, nil
	}
	claimed, err := x.Ledger.Sightings(ctx, in, whose)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(claimed, func(a, b ledger.Sighting) int { return cmp.Compare(b.Failed, a.Failed) })
	troubled, err := x.Ledger.Troubled(ctx, in, maxLookups)
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
func (x Explainer) count(ctx context.Context, q Question, hours ledger.Span, whose ledger.Party, names map[netip.Addr]string) (Seen, error) {
	s := Seen{Domains: whose.Domains, Unnamed: x.Resolver == nil && whose.Domains != nil}
	found, err := x.Ledger.Sightings(ctx, hours, whose)
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
	s.Strangers = len(strangers)
	later, err := x.Ledger.Sightings(ctx, ledger.Span{From: hours.To, To: q.Now}, whose)
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
func (s *Seen) recognise(sighting ledger.Sighting, names map[netip.Addr]string) (Sender, bool) {
	name := names[sighting.Address]
	switch {
	case s.Domains == nil:
		return Sender{Sighting: sighting, How: ByAddress}, true
	case name == "":
		return Sender{Sighting: sighting, How: ByEHLO}, true
	}
	return Sender{Sighting: sighting, How: ByName, Name: name}, within(name, s.Domains)
}

func (s *Seen) take(sender Sender) {
	s.Senders = append(s.Senders, sender)
	s.Within.Add(sender.Counts)
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
