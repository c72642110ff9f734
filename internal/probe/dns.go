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

	"postern/internal/dnssec"
)

// A resolver asks one DNS server.
type resolver struct {
	server    string
	system    *net.Resolver     // knows the hosts file too
	validator *dnssec.Validator // nil: the server's AD bit is taken
}

// An answer is what a DNS server said, and how it stands with DNSSEC.
type answer struct {
	*dns.Msg
	status dnssec.Status
	why    error // of one that is bogus or indeterminate
}

// NetResolver returns the resolver that the hosts' addresses are asked of, for who has more to ask.
func (p *Prober) NetResolver() *net.Resolver { return newResolver(p.Resolver, nil).system }

func newResolver(server string, anchors []*dns.DS) *resolver {
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
	r := &resolver{server: server, system: &net.Resolver{PreferGo: true, Dial: dial}}
	if anchors != nil {
		r.validator = dnssec.New(func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
			return r.exchange(ctx, name, kind, true)
		}, anchors)
	}
	return r
}

// by says who has validated.
func (r *resolver) by() string {
	if r.validator != nil {
		return "validated by this program, from the root's keys down"
	}
	return "validated by the resolver (AD bit)"
}

// ask asks for records and looks at how they stand with DNSSEC. [ErrNotFound] comes
// with an answer where it is the server's: there is no such name.
func (r *resolver) ask(ctx context.Context, name string, kind uint16) (*answer, error) {
	if r.server == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, Section 6.3
		return nil, ErrNotFound
	}
	msg, err := r.exchange(ctx, name, kind, r.validator != nil)
	if err != nil {
		return nil, fmt.Errorf("asking the resolver for %s: %w", dns.TypeToString[kind], err)
	}
	a := &answer{Msg: msg, status: dnssec.Insecure}
	switch {
	case r.validator != nil:
		a.status, a.why = r.validator.Validate(ctx, name, kind, msg)
	case msg.AuthenticatedData:
		a.status = dnssec.Secure
	case msg.Rcode == dns.RcodeServerFailure:
		// A resolver that validates fails so, unless it is told not to (RFC 4035, Section 5.5).
		if unchecked, err := r.exchange(ctx, name, kind, true); err == nil && unchecked.Rcode != dns.RcodeServerFailure {
			a = &answer{unchecked, dnssec.Bogus, errors.New("the resolver hands it out only when it is told not to validate")}
		}
	}
	switch a.Rcode {
	case dns.RcodeNameError:
		return a, ErrNotFound
	case dns.RcodeSuccess:
		return a, nil
	}
	return nil, fmt.Errorf("the resolver answers %s to a question for %s", dns.RcodeToString[a.Rcode], dns.TypeToString[kind])
}

// exchange asks one question. A server that is told not to check hands out what it
// takes for bogus, too (RFC 4035, Section 3.2.2).
func (r *resolver) exchange(ctx context.Context, name string, kind uint16, unchecked bool) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(1232, true)
	question.AuthenticatedData, question.CheckingDisabled = true, unchecked
	msg, _, err := new(dns.Client).ExchangeContext(ctx, question, r.server)
	if err == nil && msg.Truncated {
		msg, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, question, r.server)
	}
	return msg, err
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

// Lookup asks a DNS server for the records of a name and kind as a [Prober] does; server
// is as [Prober.Resolver]. All records of the answer are returned, those of aliases and
// signatures too, none where there is no such name. Secure is the server's word that it
// has validated the answer (its AD bit).
//
// It returns an error where it could not be told, which is so of an answer that the server
// itself takes for forged.
func Lookup(ctx context.Context, server, name string, kind uint16) (records []dns.RR, secure bool, err error) {
	answer, err := newResolver(server, nil).ask(ctx, name, kind)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, false, err
	case answer == nil:
		return nil, false, nil
	case answer.status == dnssec.Bogus:
		return nil, false, answer.why
	}
	return answer.Answer, answer.status == dnssec.Secure, nil
}
