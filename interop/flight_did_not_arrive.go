package interop

import (
	"fmt"
	"time"

	"postern/handshake"
)

// retransmitted is the time after which TCP has sent a segment again at least once: it first
// waits one second (RFC 6298, Section 2). What is still not acknowledged then did not arrive.
const retransmitted = 3 * time.Second

var flightDidNotArrive = Case{
	ID:      "flight-did-not-arrive",
	Title:   "The server's certificate and the rest of its flight never arrive",
	Clients: "any, behind a path with a small MTU or a firewall that drops large or TLS packets",
	Since:   "2000-09",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mailcow/mailcow-dockerized/issues/5778", "2024", "\"Cannot start TLS: handshake failure\" with a few hosts only: the MTU of the server's network was wrong."},
		{"https://github.com/FreshTomato-Project/freshtomato-arm/issues/284", "2026-07-16", "Random timeouts in TLS handshakes behind PPPoE, until the router clamped the MSS in both directions."},
		{"https://github.com/docker-mailserver/docker-mailserver/issues/4248", "2024-11-04", "Mail of some senders only times out; segments of full size do not pass where ICMP is blocked."},
		{"https://www.rfc-editor.org/rfc/rfc2923", "2000-09", "Section 2.1: the black hole that a blocked ICMP message makes for segments of full size."},
	},
	Explanation: "The client's TCP acknowledged nothing, or only the beginning, of what the server sent, so the client has not seen it. " +
		"SMTP before STARTTLS has small packets; the server's certificate makes the first large ones. " +
		"A path with a smaller MTU drops those if a firewall blocks the ICMP messages that would say so, and some firewalls drop TLS itself. " +
		"The client is not at fault. A host that lost its network at that moment looks the same, and so does a program that stopped reading if a part was acknowledged.",
	Remedy: Remedy{
		Postern: "Nothing to do in Postern. Let ICMP \"fragmentation needed\" and ICMPv6 \"packet too big\" through your firewall, and compare the MTU of all interfaces: containers, VPN, PPPoE. ping -M do -s 1472 HOST finds a smaller one.",
		Sender:  "Let ICMP \"fragmentation needed\" and ICMPv6 \"packet too big\" through your firewall, and compare the MTU of the interfaces of the sending server. The fault can be on either side of the path.",
		OtherSoftware: []Advice{
			{"Linux", "Set the sysctl net.ipv4.tcp_mtu_probing = 1, which finds the size that passes."},
			{"routers and tunnels", "Clamp the MSS in both directions: nft add rule ... tcp flags syn tcp option maxseg size set rt mtu."},
			{"Docker", "Give its networks the host's MTU: com.docker.network.driver.mtu."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		flight := unansweredFlight(t)
		if flight < 0 || t.Completed || t.Acknowledged != handshake.AckNone && t.Acknowledged != handshake.AckPart {
			return 0, nil
		}
		acknowledged := Observation{"the client's TCP acknowledged nothing of what the server sent", flight}
		confidence := AlmostCertain
		if t.Acknowledged == handshake.AckPart {
			acknowledged.Text, confidence = "the client's TCP acknowledged only the beginning of what the server sent", Likely
		}
		waited := t.End.At - t.Messages[flight].At
		evidence := []Observation{acknowledged}
		what := "the connection ended"
		if t.End.Kind == handshake.EndOpen {
			what = "the recording stopped"
		}
		if waited > 0 {
			evidence = append(evidence, Observation{fmt.Sprintf("%s %s after the server's flight", what, waited.Round(100*time.Millisecond)), whole})
		}
		switch {
		case t.End.Kind == handshake.EndTimeout && t.End.By == handshake.Client:
			return confidence, append(evidence, Observation{"the server waited for the client until its time limit", whole})
		case waited < retransmitted || t.End.Kind == handshake.EndAlert:
			return 0, nil // an acknowledgement may be on its way
		}
		return Likely, evidence
	},
}

// unansweredFlight returns the index of the last message of the flight with which the server
// ended its part of t, -1 if the client answered it.
func unansweredFlight(t *handshake.Transcript) int {
	last := -1
	for i, m := range t.Messages[:min(max(t.End.After, 0), len(t.Messages))] {
		switch {
		case m.From == handshake.Client:
			last = -1
		case m.From == handshake.Server && m.Type != handshake.TypeAlert && m.Type != handshake.TypeNotTLS:
			last = i
		}
	}
	return last
}
