package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/internal/listening"
)

// findMox returns the mox of this machine, nil if there is none. It has no steps: mox cannot
// learn from Postern who the sender is, so behind it, it would take every sender for a program
// of the machine.
func findMox(ctx context.Context, m *Machine) *server {
	const name = "mox"
	printed, err := output(ctx, name, "version")
	if err != nil && !slices.ContainsFunc(listening.On(m.sockets, smtpPort), func(s listening.Socket) bool { return s.Process.Program() == name }) {
		return nil
	}
	version, _, _ := strings.Cut(printed, " ") // empty if mox is not in PATH, as in its own instructions
	s := &server{name: name, version: strings.TrimPrefix(version, "v")}
	s.notes = []string{
		"mox supports neither XCLIENT nor PROXY headers: behind Postern, SPF would fail for every sender, and their reputations would be one.",
		"From v0.0.13 on, mox sends no session tickets on port 25, so strict senders deliver to it without Postern.",
	}
	if version != "" {
		s.notes = append(s.notes, fmt.Sprintf("This is %s.", version))
	}
	return s
}
