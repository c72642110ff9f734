package setup

import (
	"context"
	"strings"
)

// Servers that cannot learn who the sender is from Postern have no steps: behind it, they would
// take every sender for a program of the machine.

// findMox returns the mox of this machine, nil if there is none.
func findMox(ctx context.Context, _ *Machine) *server {
	version, err := output(ctx, "mox", "version")
	if err != nil {
		return nil
	}
	version, _, _ = strings.Cut(version, " ")
	return &server{name: "mox", version: strings.TrimPrefix(version, "v"), notes: []string{
		"mox supports neither XCLIENT nor PROXY headers: behind Postern, SPF would fail for every sender, and their reputations would be one.",
		"v0.0.17 sends no session tickets on port 25, so strict senders deliver to it without Postern.",
	}}
}

// findChasquid returns the chasquid of this machine, nil if there is none.
func findChasquid(ctx context.Context, _ *Machine) *server {
	printed, err := output(ctx, "chasquid", "-version")
	if err != nil {
		return nil
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(printed, "chasquid "), " ")
	return &server{name: "chasquid", version: version, notes: []string{
		"chasquid reads version 1 of the PROXY protocol only, and then on all its ports, those of its users included: behind Postern, SPF would fail for every sender.",
	}}
}

// findExim returns the Exim of this machine, nil if there is none.
func findExim(ctx context.Context, _ *Machine) *server {
	for _, name := range []string{"exim4", "exim"} {
		printed, err := output(ctx, name, "-bV")
		if err != nil {
			continue
		}
		version, _, _ := strings.Cut(field(printed, "Exim version"), " ")
		s := &server{name: "Exim", version: version}
		if supports := field(printed, "Support for:"); !strings.Contains(" "+supports+" ", " PROXY ") {
			s.notes = []string{"This Exim was built without the PROXY protocol, so behind Postern it would take every sender for a program of the machine. On Debian, exim4-daemon-heavy has it."}
		} else {
			s.notes = []string{"There is no plan for Exim yet. Let it listen on another port of 127.0.0.1 with hosts_proxy = 127.0.0.1 there, and use next-hop with proxy=v2."}
		}
		return s
	}
	return nil
}

// field returns the rest of the line that begins with a label.
func field(text, label string) string {
	_, rest, _ := strings.Cut("\n"+text, "\n"+label)
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(rest)
}
