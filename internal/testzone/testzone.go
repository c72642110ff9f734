// Package testzone serves DNS zones on loopback for tests and the demo. Zones can be signed. The server
// answers as a resolver that does not validate.
//
//	server := testzone.Start(t,
//		testzone.Zone{Name: ".", Signed: true},
//		testzone.Zone{Name: "example.test.", Signed: true, Records: []string{"example.test. MX 10 mx.example.test."}})
//
// Each zone has SOA and NS records, and in its parent zone NS records and, if it is
// signed, a DS record. Keys are new for each test, and answers are signed on demand.
package testzone

import (
	"cmp"
	"crypto"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// T is the part of [testing.TB] that the package uses.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// A Zone is a zone to serve.
type Zone struct {
	Name    string   // with the trailing dot
	Records []string // in zone file format
	Signed  bool
	NSEC3   bool   // denial of existence with hashed names (RFC 5155)
	OptOut  bool   // with NSEC3: leave out unsigned delegations (RFC 5155, Section 6)
	Expired bool   // the signatures have expired
	NoDS    bool   // the parent zone has no DS record
	Flags   uint16 // of the key; 0 is ZONE and SEP

	Iterations uint16 // of NSEC3; 0 is 1

	// Modify, if not nil, changes answers before they are sent.
	Modify func(*dns.Msg)

	key    *dns.DNSKEY
	signer crypto.Signer
	rrs    []dns.RR
}

// A Server serves zones.
type Server struct {
	Addr    string   // host:port, UDP and TCP
	Anchors []string // trust anchors: DS records of the root
	zones   []*Zone

	mu     sync.Mutex
	secure bool
}

// Start serves zones until the end of the test.
func Start(t T, zones ...Zone) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", zones...)
}

// StartAt is Start at an address. Port 0 is a free one.
func StartAt(t T, addr string, zones ...Zone) *Server {
	t.Helper()
	s := new(Server)
	for i := range zones {
		s.zones = append(s.zones, zones[i].prepare(t))
	}
	slices.SortFunc(s.zones, func(a, b *Zone) int { return dns.CountLabel(b.Name) - dns.CountLabel(a.Name) })
	for _, z := range s.zones {
		s.delegate(z)
	}
	packets, listener := listen(t, addr)
	s.Addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: listener, Handler: s}} {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = server.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return s
}

// listen listens at an address, or on a port that is free for both UDP and TCP.
func listen(t T, addr string) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("testzone: %v", err)
		}
		if packets, err := net.ListenPacket("udp", listener.Addr().String()); err == nil {
			return packets, listener
		}
		_ = listener.Close()
	}
	t.Fatalf("testzone: no free port for UDP and TCP")
	return nil, nil
}

// SetAD sets whether answers have the AD bit, as if the server had validated them.
func (s *Server) SetAD(secure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secure = secure
}

func (z Zone) prepare(t T) *Zone {
	t.Helper()
	lines := append([]string{
		z.Name + " SOA ns." + strings.TrimPrefix(z.Name, ".") + " root." + strings.TrimPrefix(z.Name, ".") + " 1 3600 600 86400 60",
		z.Name + " NS ns." + strings.TrimPrefix(z.Name, "."),
	}, z.Records...)
	for _, line := range lines {
		record, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("testzone: %v", err)
		}
		z.rrs = append(z.rrs, record)
	}
	if z.Signed {
		z.key = &dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: z.Name, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
			Flags: cmp.Or(z.Flags, dns.ZONE|dns.SEP), Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
		}
		private, err := z.key.Generate(256)
		if err != nil {
			t.Fatalf("testzone: %v", err)
		}
		z.signer = private.(crypto.Signer)
		z.rrs = append(z.rrs, z.key)
	}
	return &z
}

// delegate adds the delegation of a zone to its parent zone.
func (s *Server) delegate(z *Zone) {
	var ds *dns.DS
	if z.Signed {
		ds = z.key.ToDS(dns.SHA256)
	}
	if z.Name == "." {
		if ds != nil {
			s.Anchors = append(s.Anchors, ds.String())
		}
		return
	}
	parent := s.zone(z.Name, dns.TypeDS)
	parent.rrs = append(parent.rrs, &dns.NS{Hdr: dns.RR_Header{Name: z.Name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns." + z.Name})
	if ds != nil && !z.NoDS {
		parent.rrs = append(parent.rrs, ds)
	}
}

// zone returns the zone of a name. DS records are in the parent zone.
func (s *Server) zone(name string, kind uint16) *Zone {
	for _, z := range s.zones {
		if dns.IsSubDomain(z.Name, name) && !(kind == dns.TypeDS && z.Name == name && name != ".") {
			return z
		}
	}
	return nil
}

// ServeDNS implements [dns.Handler].
func (s *Server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg).SetReply(question)
	s.mu.Lock()
	answer.AuthenticatedData = s.secure
	s.mu.Unlock()
	name, kind := dns.CanonicalName(question.Question[0].Name), question.Question[0].Qtype
	for range 8 {
		z := s.zone(name, kind)
		if z == nil {
			answer.Rcode = dns.RcodeRefused
			break
		}
		alias := z.answer(answer, name, kind)
		if z.Modify != nil {
			z.Modify(answer)
		}
		if alias == "" {
			break
		}
		name = dns.CanonicalName(alias)
	}
	if w.LocalAddr().Network() == "udp" {
		answer.Truncate(1232)
	}
	_ = w.WriteMsg(answer)
}

// Sign returns a signature of an RRset by the key of a zone, whether it is the RRset's or not.
func (s *Server) Sign(zone string, records ...dns.RR) dns.RR {
	for _, z := range s.zones {
		if z.Name == zone {
			return z.sign(records, records[0].Header().Name)
		}
	}
	panic("testzone: no zone " + zone) // a bug in the test
}

// sign returns the signature of an RRset.
func (z *Zone) sign(records []dns.RR, name string) dns.RR {
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if z.Expired {
		from, to = from.AddDate(0, -2, 0), to.AddDate(0, -1, 0)
	}
	sig := &dns.RRSIG{
		Inception: uint32(from.Unix()), Expiration: uint32(to.Unix()),
		KeyTag: z.key.KeyTag(), SignerName: z.Name, Algorithm: z.key.Algorithm,
	}
	if err := sig.Sign(z.signer, records); err != nil {
		panic("testzone: " + err.Error()) // a bug in this package
	}
	sig.Hdr.Name = name
	return sig
}
