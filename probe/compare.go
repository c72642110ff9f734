package probe

import (
	"context"
	"fmt"

	"postern/interop"
	"postern/persona"
)

// compare takes the session of the first address to the others: senders keep sessions
// by the name of a host, some by that of the domain, and rarely by address.
func (r *Report) compare(ctx context.Context) {
	defer func() { byWeight(r.Whole) }()
	reached := r.reached()
	if len(reached) < 2 || !reached[0].exam.first.Resumable() {
		return
	}
	var full []string
	var found []Finding
	for _, a := range reached[1:] {
		v := a.exam.healthy.Return(ctx, a.exam.target, reached[0].exam.first)
		switch {
		case v.In && !v.TLS.Resumed:
			full = append(full, a.exam.target.Addr)
		case !v.In && v.Stage == persona.AtHandshake:
			found = append(found, turnedAway(reached[0], a, v))
		}
	}
	switch {
	case len(full) > 0:
		found = append(found, Finding{
			ID: "resumption-elsewhere", Severity: Notice,
			Title:    "A session of one address is not resumed at another",
			Evidence: []string{fmt.Sprintf("that of %s at %s", reached[0].exam.target.Addr, full)},
			Advice:   everyone("Share the ticket keys between the machines, or leave it: a full handshake is made instead."),
		})
	case len(found) == 0:
		found = append(found, fine("resumption-elsewhere", "A session of one address is resumed at the others"))
	}
	r.Whole = append(r.Whole, found...)
}

// reached are the addresses where the healthy client got in.
func (r *Report) reached() (all []*Address) {
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			if a.exam != nil && a.exam.first.In {
				all = append(all, a)
			}
		}
	}
	return all
}

func turnedAway(from, to *Address, v *persona.Visit) Finding {
	known, _ := interop.Find("every-other-connection")
	return Finding{
		ID: known.ID, Severity: Critical, Case: known, Transcript: v.Transcript,
		Title:    "A session of one address makes another turn the sender away",
		Evidence: []string{fmt.Sprintf("that of %s at %s: %s", from.Addr, to.Addr, clean(v.Err))},
		Advice:   to.Software.adviceOn(known), Sources: sourcesOf(known),
	}
}
