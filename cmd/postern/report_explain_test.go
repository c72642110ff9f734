package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"postern/internal/terminal"
	"postern/tlsrpt"
)

// said is a report about a day, of a policy of ours.
func said(org string, day time.Time, policy tlsrpt.PolicyType, successful int64, failures ...tlsrpt.Failure) *tlsrpt.Report {
	result := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{Type: policy, Domain: ourDomain}, Successful: successful, Failures: failures}
	for _, f := range failures {
		result.Failed += f.Sessions
	}
	return &tlsrpt.Report{
		Organization: org, Contact: "tls-reports@sender.example", ID: day.Format("20060102") + "+" + ourDomain,
		Start: day, End: day.Add(24*time.Hour - time.Second), Policies: []tlsrpt.PolicyResult{result},
	}
}

var (
	friday   = time.Date(2024, 10, 18, 0, 0, 0, 0, time.UTC)
	thursday = time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC)
)

// October 2024, golang/go#70232: a strict client against a server whose tickets leave early, for a day, and
// then the report that blames the policy.
func TestReportOfOctober2024(t *testing.T) {
	t.Parallel()
	h := mustHouse(t, "--mode", "stock")
	hosts := make(map[string]string)
	for i := range 3 { // each of a network of its own: the ladder mends what comes twice
		addr, name := fmt.Sprintf("127.0.%d.1", i+1), fmt.Sprintf("mail-am%d.outbound.protection.outlook.com", i+1)
		hosts[addr] = name
		h.comes(addr, h.strictly(name))
	}
	h.comes("127.0.9.1", h.strictly("mail-xy.outbound.protection.outlook.com")) // somebody else
	hosts["127.0.9.1"] = "scanner.example.net"
	h.turn(thursday.Add(7 * time.Hour))
	ledgerOf := *h
	again := mustHouse(t, "--mode", "stock") // as it goes on
	ledgerOf.addr, ledgerOf.pair = again.addr, again.pair

	var reports []*tlsrpt.Report
	for day := friday; day.Before(thursday); day = day.AddDate(0, 0, 1) {
		reports = append(reports, said("Microsoft Corporation", day, tlsrpt.PolicySTS, 40+int64(day.Day())))
	}
	id := h.receive("microsoft.com", append(reports,
		said("Microsoft Corporation", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 3}))...)
	if status := ledgerOf.explains("october_2024", id, ledgerOf.network(of(hosts)...)); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The certificate runs out while the server runs, and a sender with a policy minds.
func TestReportOfAnExpiredCertificate(t *testing.T) {
	t.Parallel()
	h := soonExpired(t)
	h.comes("127.0.1.1", h.verifying("mx1.sender.example"))
	h.comes("127.0.1.1", h.verifying("mx1.sender.example"))
	h.turn(thursday.Add(7 * time.Hour))
	id := h.receive("sender.example", said("Sender", thursday.AddDate(0, 0, -1), tlsrpt.PolicySTS, 12),
		said("Sender", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{
			Result: tlsrpt.CertificateExpired, SendingMTA: netip.MustParseAddr("127.0.1.1"), ReceivingMX: ourHost, Sessions: 2,
		}))
	again := soonExpired(t)
	h.addr, h.pair = again.addr, again.pair
	if status := h.explains("expired", id, h.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// soonExpired is a house whose certificate has expired: no server begins with one that has.
func soonExpired(t *testing.T) *house {
	for life := 3 * time.Second; life < patience; life *= 2 { // a busy machine takes long to begin
		pair := certified(t, life)
		if h, err := newHouse(t, pair); err == nil {
			for time.Now().Before(pair.TLS.Leaf.NotAfter) {
				<-time.After(time.Until(pair.TLS.Leaf.NotAfter) + time.Millisecond)
			}
			return h
		}
	}
	t.Fatal("no server began before its certificate had expired")
	return nil
}

// A second MX host came, and the policy does not know it. The sender never connects, so there is
// nothing to see here.
func TestReportOfAPolicyThatMissesAnMX(t *testing.T) {
	t.Parallel()
	h := mustHouse(t)
	h.records = append(h.records, "receiver.example. MX 20 mx2.receiver.example.", "mx2.receiver.example. A 127.0.0.1")
	id := h.receive("sender.example", said("Sender", thursday, tlsrpt.PolicySTS, 30, tlsrpt.Failure{
		Result: tlsrpt.ValidationFailure, ReasonCode: "mtasts-policy-mx-mismatch", Sessions: 4,
	}))
	if status := h.explains("policy_misses_mx", id, h.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The certificate was renewed with a new key, and the TLSA record stayed: senders complete the
// handshake, look, and leave.
func TestReportOfAStaleTLSARecord(t *testing.T) {
	t.Parallel()
	h := mustHouse(t)
	hosts := map[string]string{"127.0.1.1": "mx1.sender.example", "127.0.1.2": "mx2.sender.example"}
	for addr, name := range hosts {
		h.comes(addr, h.leaving(name))
	}
	h.turn(thursday.Add(7 * time.Hour))
	again := mustHouse(t)
	h.addr, h.pair = again.addr, again.pair
	old, err := x509.ParseCertificate(certified(t, time.Hour).TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	h.records = append(h.records, fmt.Sprintf("_%d._tcp.mx.receiver.example. TLSA 3 1 1 %x",
		netip.MustParseAddrPort(h.addr).Port(), sha256.Sum256(old.RawSubjectPublicKeyInfo)))
	id := h.receive("sender.example", said("Sender", thursday.AddDate(0, 0, -1), tlsrpt.PolicyTLSA, 12),
		said("Sender", thursday, tlsrpt.PolicyTLSA, 0, tlsrpt.Failure{Result: tlsrpt.ValidationFailure, Sessions: 2}))
	if status := h.explains("stale_tlsa", id, h.network(of(hosts)...)); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The sessions failed at a host that has been an MX host once.
func TestReportAboutAHostThatIsNotOurs(t *testing.T) {
	t.Parallel()
	h := mustHouse(t)
	id := h.receive("sender.example", said("Sender\x1b[31m", thursday, tlsrpt.PolicySTS, 0, tlsrpt.Failure{
		Result: tlsrpt.CertificateHostMismatch, ReceivingMX: "mx.old\u202eprovider.example", AdditionalInfo: "see\x07 \x1b]0;title\x07", Sessions: 2,
	}))
	if status := h.explains("host_not_ours", id, h.network()); status != terminal.ExitFailed {
		t.Errorf("exit status %d, want %d", status, terminal.ExitFailed)
	}
}

// The page for operators shows what the command really says.
func TestOperatorsReadTheReportAsItIsExplained(t *testing.T) {
	golden, err := os.ReadFile("testdata/reports/october_2024.txt")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, golden) {
		t.Error("docs/operating.md does not show testdata/reports/october_2024.txt as it is: copy it there")
	}
}
