package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"postern/internal/listening"
	"postern/internal/nexthop"
	"postern/internal/nexthop/relay"
	"postern/internal/probe"
	"postern/internal/server"
	"postern/internal/smtp"
)

// nextHop examines the server that Postern delivers to: whether it takes mail for the domains,
// whether it relays, and who else can reach it.
func (e *examination) nextHop(ctx context.Context) {
	if e.config.NextHop == nil {
		e.ok("next-hop", "Messages are stored in "+e.config.MaildirFolder())
		return
	}
	to := *e.config.NextHop
	to.Timeouts.Command = nextHopTime
	if err := relay.New(to, e.config.Hostname, nil).Probe(ctx); err != nil {
		e.deferring = true
		e.add(probe.Finding{ID: "next-hop", Severity: probe.Critical, Title: "The next hop " + to.String() + " does not take mail; senders are deferred",
			Evidence: []string{err.Error()}, Advice: do("next hop", "Start it, or correct next-hop in postern.toml. Its log says why it refuses: it must take connections from this machine and, with proxy=v2, expect a PROXY header.")})
		return
	}
	e.ok("next-hop", "The next hop "+to.String()+" answers")
	e.address(ctx, to)
	e.ipv6(ctx, to)
	e.recipients(to)
	e.exposed(to)
}

// nextHopTime is how long the next hop may take to answer: it is not busy with a message.
const nextHopTime = 20 * time.Second

// address examines whether the next hop learns who the sender is.
func (e *examination) address(ctx context.Context, to relay.Config) {
	if to.LMTP || to.Proxy > 0 || to.XClient != relay.XClientAuto {
		return // a mail store has no use for it; without any way the configuration's check warns
	}
	to.XClient = relay.XClientOn
	err := relay.New(to, e.config.Hostname, nil).ProbeAs(ctx, e.sender())
	switch {
	case err == nil:
		e.ok("address", "The next hop gets the sender's address by XCLIENT")
	case errors.Is(err, relay.ErrNotOffered):
		e.add(probe.Finding{ID: "address", Severity: probe.Warning, Title: "The next hop does not learn the sender's address: it does not offer XCLIENT",
			Advice: do("next hop", "Let it expect a PROXY header and use proxy=v2 in next-hop, or let it offer XCLIENT to this machine. Its block lists, SPF and limits see Postern's address until then.")})
	default:
		e.add(probe.Finding{ID: "address", Severity: probe.Unclear, Title: "Whether the next hop learns the sender's address is not known", Evidence: []string{err.Error()}})
	}
}

// ipv6 examines whether the next hop takes mail of a sender with an IPv6 address, if there can
// be one. A Postfix with inet_protocols = ipv4 does not: it defers all its mail.
func (e *examination) ipv6(ctx context.Context, to relay.Config) {
	if to.LMTP || !slices.ContainsFunc(server.Endpoints(e.config), overIPv6) {
		return
	}
	sender := e.sender()
	sender.Addr = netip.AddrPortFrom(netip.IPv6Loopback(), smtpPort)
	sender.Local = sender.Addr
	if err := relay.New(to, e.config.Hostname, nil).ProbeAs(ctx, sender); err != nil {
		e.add(probe.Finding{ID: "ipv6", Severity: probe.Warning, Title: "The next hop takes no mail of senders with IPv6 addresses", Evidence: []string{err.Error()},
			Advice: do("next hop", "Let it take IPv6 addresses on the port for Postern (Postfix: inet_protocols=all there), or listen on IPv4 addresses only.")})
	}
}

// overIPv6 reports whether senders can deliver over IPv6 at an endpoint.
func overIPv6(endpoint server.Endpoint) bool {
	if endpoint.Protocol == server.HTTPS || endpoint.Protocol == server.HTTP {
		return false
	}
	host, _, _ := net.SplitHostPort(endpoint.Address)
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Is6() && !ip.IsLoopback()
}

// sender is a client of this machine: those that a next hop trusts the most.
func (e *examination) sender() nexthop.Sender {
	loopback := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), smtpPort)
	return nexthop.Sender{SessionID: "doctor", Addr: loopback, Local: loopback, Greeting: e.config.Hostname, Extended: true}
}

const (
	// maxDomains is for how many domains the next hop and DNS are asked.
	maxDomains = 20

	// foreign is an address for which no server is responsible (RFC 2606).
	foreign = "postern-doctor@example.com"
)

// recipients asks the next hop for postmaster of each domain, which it has to take mail for
// (RFC 5321, Section 4.5.1), and for a foreign address.
func (e *examination) recipients(to relay.Config) {
	session := relay.New(to, e.config.Hostname, nil).Open(e.sender())
	defer session.Close()
	ask := func(recipient string) smtp.Reply {
		defer session.Reset()
		mail := session.Mail(smtp.Mail{})
		rcpt := session.Rcpt(smtp.Recipient{To: recipient})
		if reply := mail(); !reply.Positive() {
			rcpt()
			return reply
		}
		return rcpt()
	}
	domains := e.config.DomainNames()
	for _, domain := range domains[:min(len(domains), maxDomains)] {
		if domain == "localhost" {
			continue
		}
		switch reply := ask("postmaster@" + domain); {
		case reply.Positive():
			e.ok("recipients", "The next hop takes mail for postmaster@"+domain)
		case reply.Permanent():
			e.add(probe.Finding{ID: "recipients", Severity: probe.Warning, Title: "The next hop refuses mail for postmaster@" + domain, Evidence: []string{reply.String()},
				Advice: do("next hop", "Add the domain and the address there, or remove the domain from postern.toml.")})
		default:
			e.add(probe.Finding{ID: "recipients", Severity: probe.Unclear, Title: "The next hop defers mail for postmaster@" + domain, Evidence: []string{reply.String()},
				Advice: do("next hop", "Look at its log.")})
		}
	}
	if slices.Contains(domains, "example.com") {
		return
	}
	switch reply := ask(foreign); {
	case reply.Positive():
		e.add(probe.Finding{ID: "open-relay", Severity: probe.Warning, Title: "The next hop relays mail from Postern to any domain",
			Evidence: []string{fmt.Sprintf("it takes mail for %s from a client at 127.0.0.1: %s", foreign, reply)},
			Advice:   do("next hop", "Let it refuse foreign domains on the port for Postern (Postfix: smtpd_relay_restrictions=reject_unauth_destination). Postern refuses them too, but one domain too many in postern.toml would make an open relay.")})
	case reply.Permanent():
		e.ok("open-relay", "The next hop refuses mail for foreign domains")
	default:
		e.add(probe.Finding{ID: "open-relay", Severity: probe.Unclear, Title: "The next hop defers mail for a foreign domain", Evidence: []string{reply.String()}})
	}
}

// exposed examines whether other machines can reach the port or socket for Postern: they could
// claim any address.
func (e *examination) exposed(to relay.Config) {
	if to.Network != "tcp" || e.unknown != nil {
		return
	}
	address, ok := server.ReachedAt(to.Address)
	if !ok {
		return // another machine
	}
	socket, found := listening.At(e.sockets, address)
	if !found {
		return // another machine
	}
	if socket.Address.Addr().IsLoopback() {
		e.ok("exposed", "Only this machine can reach the port of the next hop")
		return
	}
	e.add(probe.Finding{ID: "exposed", Severity: probe.Warning, Title: fmt.Sprintf("Other machines can reach the port of the next hop, %s", socket.Address),
		Advice: do(socket.Process.Program(), "Let it listen on 127.0.0.1 there, or let a firewall close the port: it believes what a client says about its address.")})
}
