package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A resolver asks one DNS server.
type resolver struct {
	server string
	system *net.Resolver // knows the hosts file too
}

func newResolver(server string) *resolver {
	if server == "" {
		config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(config.Servers) == 0 {
			return &resolver{system: net.DefaultResolver}
		}
		server = net.JoinHostPort(config.Servers[0], config.Port)
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	return &resolver{server, &net.Resolver{PreferGo: true, Dial: dial}}
}

// ask asks for records. The answer's AuthenticatedData says that the resolver has
// validated it. [ErrNotFound]: there is no such name.
func (r *resolver) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	if r.server == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, Section 6.3
		return nil, ErrNotFound
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(1232, true)
	question.AuthenticatedData = true
	answer, _, err := new(dns.Client).ExchangeContext(ctx, question, r.server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, question, r.server)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking the resolver for %s: %w", dns.TypeToString[kind], err)
	case answer.Rcode == dns.RcodeNameError:
		return nil, ErrNotFound
	case answer.Rcode != dns.RcodeSuccess:
		return nil, fmt.Errorf("the resolver answers %s to a question for %s", dns.RcodeToString[answer.Rcode], dns.TypeToString[kind])
	}
	return answer, nil
}

// texts returns the TXT records of a name, each with its strings put together. A name
// that is not there has none.
func (r *resolver) texts(ctx context.Context, name string) (records []string, err error) {
	answer, err := r.ask(ctx, name, dns.TypeTXT)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, record := range answer.Answer {
		if text, ok := record.(*dns.TXT); ok {
			records = append(records, strings.Join(text.Txt, ""))
		}
	}
	return records, nil
}

func (r *resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := r.system.LookupNetIP(ctx, "ip", host)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, ErrNotFound
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, err
}

// dial connects to a host whose addresses it looks up as all others.
func (r *resolver) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{Resolver: r.system}).DialContext(ctx, network, addr)
}
