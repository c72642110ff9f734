package server

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/smtpd"
	"postern/interop"
)

// A scanner such as sslscan or testssl.sh tries versions, suites, groups and signatures one by
// one, and most of its handshakes fail. A mail host has a few programs, each with one
// ClientHello.
const (
	sweepHellos = 5               // so many different ones fail
	sweepTime   = 5 * time.Minute // in this time
	maxSweeps   = 256             // hosts that are watched
)

// sweeps recognises scanners by host.
type sweeps struct {
	mu    sync.Mutex
	hosts *admission.Memory[netip.Prefix, *sweep]
}

func newSweeps() *sweeps {
	return &sweeps{hosts: admission.NewMemory[netip.Prefix, *sweep](maxSweeps, func(host netip.Prefix) netip.Prefix { return admission.Network(host.Addr()) })}
}

type sweep struct {
	last     time.Time
	hellos   []string
	sessions []string // failed before it was recognised
}

// note notes a failed session. It reports whether it is a scanner's, and returns those before it
// that turn out to be so now.
func (s *sweeps) note(r smtpd.SessionResult) (scanner bool, before []string) {
	if r.Probe || r.Transcript == nil || r.Transcript.ClientHello == nil {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	host := s.host(admission.Host(r.Sender.Addr()), r.Began)
	host.last = r.Began
	hello := shape(r.Transcript.ClientHello)
	switch {
	case len(host.hellos) >= sweepHellos:
		return true, nil
	case !slices.Contains(host.hellos, hello):
		host.hellos = append(host.hellos, hello)
	}
	if len(host.hellos) < sweepHellos {
		if len(host.sessions) < 4*sweepHellos {
			host.sessions = append(host.sessions, r.ID)
		}
		return false, nil
	}
	before, host.sessions = host.sessions, nil
	return true, before
}

// host returns the sweep of a host.
func (s *sweeps) host(host netip.Prefix, now time.Time) *sweep {
	known, ok := s.hosts.Get(host)
	if !ok || now.Sub(known.last).Abs() > sweepTime {
		known = new(sweep)
	}
	s.hosts.Set(host, known)
	return known
}

// shape returns what a scanner varies. A sender varies the name and the session that it offers.
func shape(h *handshake.ClientHello) string {
	b := binary.BigEndian.AppendUint16(nil, uint16(h.Version))
	b = appendShape(b, h.Versions)
	b = appendShape(b, h.Suites)
	b = appendShape(b, h.Groups)
	return string(appendShape(b, h.Signatures))
}

// appendShape appends a list, without the values that a client chooses at random (RFC 8701), and
// its end.
func appendShape[N ~uint16](b []byte, values []N) []byte {
	for _, n := range values {
		if !handshake.IsGREASE(n) {
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		}
	}
	return append(b, 0x0a, 0x0a) // a GREASE value
}

// scanned is the diagnosis of a scanner's handshake.
var scanned = []ledger.Diagnosis{{
	Case: ledger.Scanner, Confidence: float64(interop.AlmostCertain),
	Evidence: []string{fmt.Sprintf("%d different ClientHellos of this address failed within minutes", sweepHellos)},
}}
