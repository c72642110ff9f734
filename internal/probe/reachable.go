package probe

import (
	"errors"
	"net"

	"postern/internal/persona"
)

// reachable tells of a server that cannot be examined: it does not answer, or is none.
func reachable(e *exam) []Finding {
	if e.first.Completed || e.first.Err == nil {
		return nil
	}
	f := Finding{ID: "unreachable", Severity: Unclear, Evidence: []string{clean(e.first.Err)}}
	switch e.first.Stage {
	case persona.AtConnect:
		f.Title = "The server cannot be reached from here"
		f.Advice = everyone("Look whether it runs and listens, and whether a firewall or your provider blocks the port: many block port 25 outwards.")
		if host, _, _ := net.SplitHostPort(e.target.Addr); net.ParseIP(host).To4() == nil {
			f.ID, f.Title = "unreachable-ipv6", "The server cannot be reached over IPv6 from here"
			if e.ipv4 { // whose findings tell whether mail comes
				f.Severity = Notice
			}
		}
	case persona.AtGreeting:
		f.ID, f.Title = "no-greeting", "What answers does not greet as a mail server"
		f.Advice = everyone("Look what listens on this port. A server that turns this address away may greet others.")
	case persona.AtEHLO:
		if errors.Is(e.first.Err, persona.ErrNoTLS) {
			return nil // see offered
		}
		f.ID, f.Title = "no-hello", "The server does not answer the first command as it should"
		f.Advice = everyone("Look into the server's log at this time. A server that turns this address away may take others.")
	default:
		return nil
	}
	return []Finding{f}
}

// steady tells whether the server is still there when all have come.
func steady(e *exam) []Finding {
	if e.last == nil || !e.first.Completed || e.last.Completed {
		return nil
	}
	f := Finding{
		ID: "stopped", Severity: Unclear,
		Title:    "The server stopped answering while it was examined",
		Evidence: []string{"the last healthy client: " + clean(e.last.Err)},
		Advice:   everyone("It may have gone down, or turn this address away for a while: try again later, or from another address."),
	}
	return []Finding{f}
}
