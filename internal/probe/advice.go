package probe

import (
	"cmp"
	"slices"

	"postern/interop"
)

// kin are the names under which advice for a kind of software is kept, its own
// first: who builds a server of go-smtp can do what every Go program can.
var kin = map[string][]string{
	"maddy":    {"maddy"},
	"go-smtp":  {"Go programs"},
	"chasquid": {"chasquid", "Go programs"},
	"mox":      {"mox", "Go programs"},
}

// pick takes from all the advice what is for this software: one piece, or none. For
// software that was not recognised it is all of it.
func (s Software) pick(all []interop.Advice) []interop.Advice {
	if s.Name == "" {
		return all
	}
	names := kin[s.Name]
	if names == nil {
		names = []string{s.Name}
	}
	for _, name := range append(slices.Clone(names), everySoftware) {
		if i := slices.IndexFunc(all, func(a interop.Advice) bool { return a.Software == name }); i >= 0 {
			return all[i : i+1]
		}
	}
	return nil
}

// everyone is advice for all software alike.
func everyone(do string) []interop.Advice { return []interop.Advice{{Software: everySoftware, Do: do}} }

// everySoftware is who advice is for that holds whatever the server is.
const everySoftware = "all servers"

// adviceOn returns what to do about a case at this software.
func (s Software) adviceOn(c *interop.Case) []interop.Advice {
	if s.Name == "Postern" {
		return []interop.Advice{{Software: "Postern", Do: cmp.Or(posternAdvice[c.ID], c.Remedy.Postern)}}
	}
	return s.pick(c.Remedy.Others)
}

// posternAdvice is for what a Postern shows only if it was told to: a case's remedy
// says what it does by itself.
var posternAdvice = map[string]string{
	"early-ticket": "Set ticket-policy to \"first-write\", the default: the ticket leaves after the client's Finished. With \"stock\" each such sender fails once, and is offered that when it comes again.",
}
