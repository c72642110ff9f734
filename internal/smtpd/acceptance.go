package smtpd

import (
	"strings"

	"postern/internal/smtp"
)

// acceptance says which recipients mail is taken for. Nothing else is ever
// relayed.
type acceptance struct {
	domains    map[string]bool
	recipients map[string]bool // nil: any of the domains
	first      string
}

func newAcceptance(domains, recipients []string) *acceptance {
	a := &acceptance{domains: make(map[string]bool)}
	for _, domain := range domains {
		a.domains[smtp.FoldDomain(domain)] = true
	}
	if len(domains) > 0 {
		a.first = smtp.FoldDomain(domains[0])
	}
	if len(recipients) > 0 {
		a.recipients = make(map[string]bool)
		for _, address := range recipients {
			a.recipients[smtp.FoldMailbox(address)] = true
		}
	}
	return a
}

// check gives the mailbox in the form the next hop shall see, or a refusal. Its
// domain is the one that was compared: "ex\u00adample.org" is ours here, and a
// next hop that does not take it for its own could pass it on to elsewhere.
func (a *acceptance) check(mailbox string) (string, *smtp.Reply) {
	local, domain, ok := smtp.SplitMailbox(mailbox)
	if !ok { // a bare postmaster
		return mailbox + "@" + a.first, nil
	}
	domain = smtp.FoldDomain(domain)
	if !a.domains[domain] {
		return "", refusal(550, "5.7.1", "no mail for this domain is taken here")
	}
	// A next hop could take these for a route to elsewhere, as its own client
	// in front of it: the percent hack, bang paths, and a mailbox within
	// quotes.
	if strings.ContainsAny(local, "%!@") {
		return "", refusal(550, "5.7.1", "no mail is relayed from here")
	}
	if a.recipients != nil && !a.recipients[smtp.FoldMailbox(mailbox)] && !strings.EqualFold(local, "postmaster") {
		return "", refusal(550, "5.1.1", "no such recipient here")
	}
	return local + "@" + domain, nil
}

func refusal(code int, enhanced, text string) *smtp.Reply {
	reply := smtp.NewReply(code, enhanced, text)
	return &reply
}
