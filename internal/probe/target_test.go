package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/persona"
)

func TestTargets(t *testing.T) {
	addr := netip.MustParseAddr
	for text, want := range map[string]target{
		"example.org":         {name: "example.org"},
		"Example.ORG.":        {name: "example.org"},
		"mx.example.org:2525": {name: "mx.example.org", port: 2525},
		"bücher.example":      {name: "xn--bcher-kva.example"},
		"192.0.2.7":           {addr: addr("192.0.2.7")},
		"192.0.2.7:26":        {addr: addr("192.0.2.7"), port: 26},
		"::ffff:192.0.2.7":    {addr: addr("192.0.2.7")},
		"2001:db8::7":         {addr: addr("2001:db8::7")},
		"[2001:db8::7]":       {addr: addr("2001:db8::7")},
		"[2001:db8::7]:587":   {addr: addr("2001:db8::7"), port: 587},
	} {
		got, err := parseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestInvalidTargets(t *testing.T) {
	for _, text := range []string{
		"", ".", "user@example.org", "https://example.org", "example.org:0", "example.org:70000",
		"example.org:smtp", "two words", "a\x1b[2J.example", strings.Repeat("long.", 60) + "example",
	} {
		got, err := parseTarget(text)
		if !errors.Is(err, ErrTarget) {
			t.Errorf("%q: %+v, %v, want ErrTarget", text, got, err)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: the error has a control character", text)
		}
	}
}

// zone serves DNS records, as in a zone file, on loopback.
func zone(t *testing.T, secure bool, records ...string) (addr string) {
	t.Helper()
	all := make(map[string][]dns.RR)
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all[record.Header().Name] = append(all[record.Header().Name], record)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		answer.AuthenticatedData = secure
		known, ok := all[strings.ToLower(question.Question[0].Name)]
		if !ok {
			answer.Rcode = dns.RcodeNameError
		}
		for _, record := range known {
			if record.Header().Rrtype == question.Question[0].Qtype {
				answer.Answer = append(answer.Answer, record)
			}
		}
		w.WriteMsg(answer)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return conn.LocalAddr().String()
}

func TestDomainIsResolvedToHosts(t *testing.T) {
	t.Parallel()
	names := zone(t, false,
		"example.test. MX 20 second.example.test.",
		"example.test. MX 10 First.example.test.",
		"example.test. MX 30 gone.example.test.",
		"first.example.test. A 127.0.0.1", "first.example.test. AAAA ::1",
		"second.example.test. A 127.0.0.2",
		"host.example.test. A 127.0.0.3",
		"nomail.test. MX 0 .",
		"dead.test. MX 10 gone.example.test.",
	)
	for target, want := range map[string]string{
		"example.test":           "example.test: 10 first.example.test [127.0.0.1:25 [::1]:25]; 20 second.example.test [127.0.0.2:25]; 30 gone.example.test []; mx-without-address",
		"host.example.test":      ": 0 host.example.test [127.0.0.3:25]",
		"host.example.test:2525": ": 0 host.example.test [127.0.0.3:2525]",
		"example.test:25":        probeError(ErrNotFound), // with a port it is a host, which has no address
		"127.0.0.1":              ": 0 127.0.0.1 [127.0.0.1:25]",
		"nomail.test":            probeError(ErrNoMail),
		"dead.test":              "dead.test: 10 gone.example.test []; mx-without-address",
		"nowhere.test":           probeError(ErrNotFound),
	} {
		r, _, err := (&Prober{Resolver: names}).resolve(context.Background(), target)
		if got := outline(r, err); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
}

func TestOtherProtocolsHaveOtherPortsAndNoMX(t *testing.T) {
	t.Parallel()
	names := zone(t, false, "example.test. MX 10 mx.example.test.", "example.test. A 127.0.0.1")
	for protocol, want := range map[persona.Protocol]string{persona.IMAP: ":143", persona.POP3: ":110"} {
		r, _, err := (&Prober{Resolver: names, Protocol: protocol}).resolve(context.Background(), "example.test")
		if got := outline(r, err); got != ": 0 example.test [127.0.0.1"+want+"]" {
			t.Errorf("%s", got)
		}
	}
}

// A domain without any MX host address gets no mail, which is worse than one host less.
func TestDomainWithoutAnyAddressIsCritical(t *testing.T) {
	t.Parallel()
	names := zone(t, false, "dead.test. MX 10 gone.test.", "half.test. MX 10 gone.test.", "half.test. MX 20 here.test.", "here.test. A 127.0.0.1")
	for target, want := range map[string]Severity{"dead.test": Critical, "half.test": Warning} {
		r, _, err := (&Prober{Resolver: names}).resolve(context.Background(), target)
		if err != nil || len(r.Findings) != 1 || r.Findings[0].Severity != want {
			t.Errorf("%s: %+v, %v", target, r, err)
		}
	}
}

// A resolver that does not answer is no verdict about the domain.
func TestSilentResolverIsAnError(t *testing.T) {
	t.Parallel()
	_, _, err := (&Prober{Resolver: "127.0.0.1:1"}).resolve(context.Background(), "example.test")
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoMail) {
		t.Errorf("%v, want the resolver's failure", err)
	}
}

// A packet may be lost, and a resolver may need more than two seconds for what it has not cached.
func TestLostQueryIsSentAgain(t *testing.T) {
	t.Parallel()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var queries atomic.Int32
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		if queries.Add(1) > 1 {
			w.WriteMsg(new(dns.Msg).SetReply(query))
		}
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { packets.Close() })
	if _, _, err := Lookup(t.Context(), packets.LocalAddr().String(), "_25._tcp.mx.example.test", dns.TypeTLSA); err != nil {
		t.Error(err)
	}
}

func probeError(err error) string { return "error: " + err.Error() }

func outline(r *Report, err error) string {
	for _, known := range []error{ErrNotFound, ErrNoMail} {
		if errors.Is(err, known) {
			return probeError(known)
		}
	}
	if err != nil {
		return err.Error()
	}
	parts := make([]string, 0, len(r.Hosts))
	for _, h := range r.Hosts {
		addrs := make([]string, len(h.Addresses))
		for i, a := range h.Addresses {
			addrs[i] = a.Addr.String()
		}
		parts = append(parts, fmt.Sprintf("%d %s %v", h.Preference, h.Name, addrs))
	}
	for _, f := range r.Findings {
		parts = append(parts, f.ID)
	}
	return r.Domain + ": " + strings.Join(parts, "; ")
}
