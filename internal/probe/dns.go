package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
)

// A resolver queries one DNS server.
type resolver struct {
	server    string            // empty: only net is used
	net       *net.Resolver     // also reads the hosts file
	validator *dnssec.Validator // nil: the AD bit of the server counts
}

// An answer is an answer of a DNS server, with its DNSSEC status.
type answer struct {
	*dns.Msg
	status dnssec.Status
	why    error // if bogus or indeterminate
}

// NetResolver returns the resolver that looks up the addresses of hosts.
func (p *Prober) NetResolver() *net.Resolver { return newResolver(p.Resolver, nil).net }

// Lookup queries a DNS server for the records of a name and type, as a [Prober] does; server
// is as [Prober.Resolver]. It returns all records of the answer, those of aliases and
// signatures included, and none if there is no such name. Secure is the server's AD bit: it
// has validated the answer.
//
// Lookup returns an error if the query fails, or if the server considers the answer bogus.
func Lookup(ctx context.Context, server, name string, recordType uint16) (records []dns.RR, secure bool, err error) {
	answer, err := newResolver(server, nil).query(ctx, name, recordType)
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

func newResolver(server string, anchors []*dns.DS) *resolver {
	if server == "" {
		config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(config.Servers) == 0 {
			return &resolver{net: net.DefaultResolver}
		}
		server = net.JoinHostPort(config.Servers[0], config.Port)
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	r := &resolver{server: server, net: &net.Resolver{PreferGo: true, Dial: dial}}
	if anchors != nil {
		r.validator = dnssec.New(func(ctx context.Context, name string, recordType uint16) (*dns.Msg, error) {
			return r.exchange(ctx, name, recordType, true)
		}, anchors)
	}
	return r
}

// validatedBy says who validates DNSSEC.
func (r *resolver) validatedBy() string {
	if r.validator != nil {
		return "validated by this program, from the root keys"
	}
	return "validated by the resolver (AD bit)"
}

// query queries for records and determines their DNSSEC status. If the server says that
// there is no such name, it returns the answer with [ErrNotFound].
func (r *resolver) query(ctx context.Context, name string, recordType uint16) (*answer, error) {
	if r.server == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, Section 6.3
		return nil, ErrNotFound
	}
	msg, err := r.exchange(ctx, name, recordType, r.validator != nil)
	if err != nil {
		return nil, fmt.Errorf("looking up %s records: %w", dns.TypeToString[recordType], err)
	}
	a := &answer{Msg: msg, status: dnssec.Insecure}
	switch {
	case r.validator != nil:
		a.status, a.why = r.validator.Validate(ctx, name, recordType, msg)
	case msg.AuthenticatedData:
		a.status = dnssec.Secure
	case msg.Rcode == dns.RcodeServerFailure: // of a resolver that validates
		// A validating resolver fails like this, unless told not to validate (RFC 4035, Section 5.5).
		if unchecked, err := r.exchange(ctx, name, recordType, true); err == nil && unchecked.Rcode != dns.RcodeServerFailure {
			a = &answer{unchecked, dnssec.Bogus, errors.New("the resolver returns it only when told not to validate")}
		}
	}
	switch a.Rcode {
	case dns.RcodeNameError:
		return a, ErrNotFound
	case dns.RcodeSuccess:
		return a, nil
	}
	return nil, fmt.Errorf("looking up %s records: the resolver answers %s", dns.TypeToString[recordType], dns.RcodeToString[a.Rcode])
}

// patience is how long each attempt of a query waits for the answer. A packet may be lost, and a
// resolver may need more time for what it has not cached.
var patience = []time.Duration{2 * time.Second, 5 * time.Second}

// exchange sends a query. With checkingDisabled the server also returns answers that it
// considers bogus (RFC 4035, Section 3.2.2).
func (r *resolver) exchange(ctx context.Context, name string, recordType uint16, checkingDisabled bool) (msg *dns.Msg, err error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), recordType)
	query.SetEdns0(1232, true)
	query.AuthenticatedData, query.CheckingDisabled = true, checkingDisabled
	for _, wait := range patience {
		msg, _, err = (&dns.Client{Timeout: wait}).ExchangeContext(ctx, query, r.server)
		if err == nil && msg.Truncated {
			msg, _, err = (&dns.Client{Net: "tcp", Timeout: wait}).ExchangeContext(ctx, query, r.server)
		}
		if !os.IsTimeout(err) || ctx.Err() != nil {
			break
		}
	}
	return msg, err
}

// txt returns the TXT records of a name, each with its strings joined; none if there is no
// such name.
func (r *resolver) txt(ctx context.Context, name string) (records []string, err error) {
	answer, err := r.query(ctx, name, dns.TypeTXT)
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
	addrs, err := r.net.LookupNetIP(ctx, "ip", host)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, ErrNotFound
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, err
}

// dial connects to a host whose addresses it looks up with r.
func (r *resolver) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{Resolver: r.net}).DialContext(ctx, network, addr)
}

// lookupFailed is the finding about a failed lookup.
func lookupFailed(id, what string, err error) Finding {
	return Finding{
		ID: id, Severity: Unclear, Title: what + " could not be looked up", Evidence: []string{errorText(err)},
		Advice: forAll("Use another DNS server: --resolver ADDR."),
	}
}
