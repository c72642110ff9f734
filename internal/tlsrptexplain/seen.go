package tlsrptexplain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/ledger"
)

// Seen is what we saw ourselves of the sender in the report's hours.
type Seen struct {
	Unasked string // why nobody looked; the rest is empty then

	Domains []string // that the sender's names lie in; empty: the report gives its addresses
	Unnamed bool     // nobody was to look up names in DNS
	Senders []Sender // those with most failures first
	Cases   []Case   // of the sessions that failed, the most first
	Within  ledger.Counts
	Unused  int64         // of those that got in over TLS: they left without a command
	After   ledger.Counts // from the report's end until now

	// Strangers are addresses that called themselves by the sender's names, and whose names in DNS
	// are others'. Their sessions do not count.
	Strangers int
}

// A Sender is an address of the sender's that we saw.
type Sender struct {
	ledger.Sighting
	How  How
	Name string // in DNS, and it leads back to the address; empty: not known
}

// How a session is known to be the sender's.
type How string

// The ways, the surest first.
const (
	ByAddress How = "address" // the report gives it
	ByName    How = "dns"     // its name in DNS, which leads back to it
	ByEHLO    How = "ehlo"    // what it called itself: its own word
)

// A Case counts sessions that failed alike.
type Case struct {
	ID       string // as in package interop, or [ledger.Unknown]
	Sessions int64
}

// sure tells whether most failures are known to be the sender's by more than its word.
func (s Seen) sure() bool {
	var proven int64
	for _, sender := range s.Senders {
		if sender.How != ByEHLO {
			proven += sender.Failed
		}
	}
	return 2*proven >= s.Within.Failed
}

// failedMost is the address with most failures of a case.
func (s Seen) failedMost(id string) netip.Addr {
	return slices.MaxFunc(s.Senders, func(a, b Sender) int { return cmp.Compare(a.Cases[id], b.Cases[id]) }).Address
}

// Text says what was seen, in sentences.
func (s Seen) Text() string {
	if s.Unasked != "" {
		return "Not looked at: " + s.Unasked + "."
	}
	said := []string{s.whom()}
	if len(s.Senders) > 0 {
		said = append(said, fmt.Sprintf("Of their sessions %d failed, %d got in over TLS, %d in plaintext.", s.Within.Failed, s.Within.Full+s.Within.Resumed, s.Within.Plaintext))
	}
	if s.Unused > 0 {
		said = append(said, fmt.Sprintf("Of those that got in %d left without a command.", s.Unused))
	}
	if len(s.Cases) > 0 {
		said = append(said, "What failed looks like "+s.cases()+".")
	}
	if s.Within.Returned > 0 {
		said = append(said, fmt.Sprintf("In plaintext after a failed handshake: %d.", s.Within.Returned))
	}
	if s.Strangers > 0 {
		said = append(said, count(int64(s.Strangers), "address")+" used their names, and DNS says otherwise: not counted.")
	}
	if in := s.After.Full + s.After.Resumed; s.After != (ledger.Counts{}) {
		said = append(said, fmt.Sprintf("Since then %d failed and %d got in over TLS.", s.After.Failed, in))
	}
	return strings.Join(said, " ")
}

// whom says who was looked for, and who was found.
func (s Seen) whom() string {
	if len(s.Senders) == 0 {
		return "We saw nothing from them in these hours" + s.missed() + "."
	}
	addresses, claimed := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for _, sender := range s.Senders {
		addresses[sender.Address] = true
		if sender.How == ByEHLO {
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
func (s Seen) missed() string {
	switch {
	case s.Domains == nil:
		return ", by the addresses that the report gives"
	case s.Unnamed:
		return ": no name in " + s.domains(" or ") + " by EHLO; DNS was not to be asked"
	}
	return ": no name in " + s.domains(" or ") + ", neither in DNS nor by EHLO"
}

// domains are those that the sender's names lie in.
func (s Seen) domains(between string) string {
	all := make([]string, len(s.Domains))
	for i, d := range s.Domains {
		all[i] = named(d)
	}
	return strings.Join(all, between)
}

func (s Seen) cases() string {
	parts := make([]string, len(s.Cases))
	for i, c := range s.Cases {
		parts[i] = fmt.Sprintf("%s (%d×)", c.ID, c.Sessions)
		if c.ID == ledger.Unknown {
			parts[i] = fmt.Sprintf("no known case (%d×)", c.Sessions)
		}
	}
	return strings.Join(parts, ", ")
}
