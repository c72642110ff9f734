package clientsim

import (
	"context"

	"postern/internal/persona"
	"postern/internal/probe"
)

// A client is one that can visit.
type client struct {
	Client
	visit func(context.Context, persona.Target) Cell
}

// personaClient lets a persona visit, and return if it was given a session.
func personaClient(p *persona.Persona) *client {
	return &client{Client{Name: p.ID, Does: p.Does}, func(ctx context.Context, t persona.Target) Cell {
		if p.Case == "early-ticket" {
			t.Dial = probe.DialSlowly
		}
		first := probe.Judge(p, p.Visit(ctx, t))
		cell := Cell{Fate: first.Fate, Plaintext: first.Plaintext, Why: first.Why(), First: first.Transcript}
		if first.In && first.Resumable() {
			second := p.Return(ctx, t, first.Visit)
			cell.Return, cell.Second = returned(second), second.Transcript
		}
		return cell
	}}
}

func returned(v *persona.Visit) Return {
	switch {
	case !v.In:
		return Lost
	case v.TLS.Resumed:
		return Resumed
	}
	return Full
}
