package probe

import (
	"context"

	"postern/internal/persona"
	"postern/interop"
)

// compare offers the session of each address at the next one, and that of the last at
// the first: so each of them meets a session that another one gave, whichever of them
// can be had. Senders keep sessions by the name of a host, some by that of the domain,
// and rarely by address.
func (r *Report) compare(ctx context.Context) {
	reached := r.reached()
	if len(reached) < 2 {
		return
	}
	var full []string
	var found []Finding
	taken := 0
	for i, to := range reached {
		from := reached[(i+len(reached)-1)%len(reached)]
		if !from.exam.first.Resumable() {
			continue // see resumption
		}
		switch v := to.offered(ctx, from); {
		case v.In && v.TLS.Resumed:
			taken++
		case v.In && to.honoursItsOwn():
			full = append(full, "that of "+from.where()+" at "+to.where())
		case !v.In && v.Stage == persona.AtHandshake:
			found = append(found, turnedAway(from, to, v))
		}
	}
	switch {
	case full != nil:
		found = append(found, notShared(full))
	case found == nil && taken > 0:
		found = append(found, fine("resumption-elsewhere", "A session of one address is resumed at the others"))
	}
	r.Whole = append(r.Whole, found...)
}

// offered lets the healthy client come with the session that another address gave.
func (a *Address) offered(ctx context.Context, from *Address) *persona.Visit {
	defer ahead.take(ctx, a.Addr)()
	return a.exam.healthy.Return(ctx, a.exam.target, from.exam.first)
}

// honoursItsOwn tells whether the address resumes the sessions that it gave itself:
// where it does not, it says nothing that it does not resume those of others.
func (a *Address) honoursItsOwn() bool {
	return a.exam.again != nil && a.exam.again.TLS != nil && a.exam.again.TLS.Resumed
}

// where is the address with the name of its host.
func (a *Address) where() string {
	if a.exam.host == a.Addr.Addr().String() {
		return a.Addr.String()
	}
	return quoted(a.exam.host) + " (" + a.Addr.String() + ")"
}

func notShared(full []string) Finding {
	return Finding{
		ID: "resumption-elsewhere", Severity: Notice,
		Title:    "A session of one address is not resumed at another: they do not share their ticket keys",
		Evidence: full,
		Advice:   everyone("Share the ticket keys between the machines, or leave it: a full handshake is made instead."),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc8446#section-4.6.1"},
	}
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
		Evidence: []string{"that of " + from.where() + " at " + to.where() + ": " + clean(v.Err)},
		Advice:   to.Software.adviceOn(known), Sources: sourcesOf(known),
	}
}
