package probe

import (
	"errors"
	"net"

	"postern/internal/persona"
)

// checkReachable reports a server that does not answer, or that is not a mail server.
func checkReachable(p *addressProbe) []Finding {
	if p.first.Completed || p.first.Err == nil || errors.Is(p.first.Err, ErrTimeUp) {
		return nil
	}
	f := Finding{ID: "unreachable", Severity: Unclear, Evidence: []string{errorText(p.first.Err)}}
	switch p.first.Stage {
	case persona.AtConnect:
		f.Title = "Cannot connect to the server"
		f.Advice = forAll("Check that the server is running and listening, and that no firewall blocks the port. Many providers block outgoing connections to port 25.")
		if host, _, _ := net.SplitHostPort(p.target.Addr); net.ParseIP(host).To4() == nil {
			f.ID, f.Title = "unreachable-ipv6", "Cannot connect to the server over IPv6"
			if p.ipv4 { // mail arrives over IPv4
				f.Severity = Notice
			}
		}
	case persona.AtGreeting:
		f.ID, f.Title = "no-greeting", "The server does not send the greeting of a mail server"
		f.Advice = forAll("Check what listens on this port. A server that refuses this client address may accept others.")
	case persona.AtEHLO:
		if errors.Is(p.first.Err, persona.ErrNoTLS) {
			return nil // see checkHealthy
		}
		f.ID, f.Title = "no-hello", "The server does not accept the first command"
		f.Advice = forAll("Look at the server's log. A server that refuses this client address may accept others.")
	default:
		return nil
	}
	return []Finding{f}
}

// checkStillUp reports a server that stopped answering during the probe.
func checkStillUp(p *addressProbe) []Finding {
	if p.last == nil || !p.first.Completed || p.last.Completed {
		return nil
	}
	return []Finding{{
		ID: "stopped", Severity: Unclear,
		Title:    "The server stopped answering during the probe",
		Evidence: []string{"last healthy client: " + errorText(p.last.Err)},
		Advice:   forAll("The server may be down, or block this client address for a while. Try again later, or from another address."),
	}}
}
