package smtpd

import (
	"strings"

	"postern/internal/smtp"
)

// acceptance decides which recipients to accept. Nothing else is ever relayed.
type acceptance struct {
	domains    map[string]bool
	recipients map[string]bool // nil: all in the domains
	first      string          // of the domains
}

func newAcceptance(domains, recipients []string) *acceptance {
	a := &acceptance{domains: make(map[string]bool, len(domains))}
	for _, domain := range domains {
		a.domains[smtp.FoldDomain(domain)] = true
	}
	if len(domains) > 0 {
		a.first = smtp.FoldDomain(domains[0])
	}
	if len(recipients) > 0 {
		a.recipients = make(map[string]bool, len(recipients))
		for _, address := range recipients {
			a.recipients[smtp.FoldMailbox(address)] = true
		}
	}
	return a
}

// check returns the mailbox for the next hop, or a refusal. Its domain is the one that was
// compared: "ex\u00adample.org" is equal to a configured domain here, and a next hop that
// treats it as another one could relay it.
func (a *acceptance) check(mailbox string) (string, *smtp.Reply) {
	local, domain, ok := smtp.SplitMailbox(mailbox)
	if !ok { // a bare postmaster
		return mailbox + "@" + a.first, nil
	}
	folded := smtp.FoldDomain(domain)
	if !a.domains[folded] {
		return "", refusal(550, "5.7.1", "not accepting mail for this domain")
	}
	// A next hop could relay these, since Postern is its own client: the percent hack,
	// bang paths, and a mailbox within quotes.
	if strings.ContainsAny(local, "%!@") {
		return "", refusal(550, "5.7.1", "not relaying")
	}
	if a.recipients != nil && !a.recipients[smtp.FoldMailbox(mailbox)] && !strings.EqualFold(local, "postmaster") {
		return "", refusal(550, "5.1.1", "no such recipient")
	}
	if folded == domain {
		return mailbox, nil
	}
	return local + "@" + folded, nil
}

func refusal(code int, enhanced, text string) *smtp.Reply {
	reply := smtp.NewReply(code, enhanced, text)
	return &reply
}
