package alert

import (
	"fmt"
	"strings"

	"postern/internal/safetext"
)

// A Kind is what an alert is about.
type Kind string

// The kinds.
const (
	SenderStopped      Kind = "sender-stopped"      // a sender used to deliver, and now fails
	SenderInPlaintext  Kind = "sender-in-plaintext" // a sender used TLS, and now delivers in plaintext after failures
	UnknownFailure     Kind = "unknown-failure"     // a failure without a case, new, from several networks
	ReportTurnedBad    Kind = "report-turned-bad"   // a verified TLS report has failures, the ones before had none
	CertificateExpires Kind = "certificate-expires" // soon, or it has
	MTASTSDowngraded   Kind = "mta-sts-downgraded"  // a policy is served as testing, not as enforce
	TLSADiffers        Kind = "tlsa-differs"        // no published TLSA record matches a certificate in use
	NextHopDown        Kind = "next-hop-down"
	HostMissing        Kind = "host-missing"  // from the fleet
	HostAlone          Kind = "host-alone"    // it does not share with its fleet
	LedgerDrops        Kind = "ledger-drops"  // events are not stored
	GateBypassed       Kind = "gate-bypassed" // session tickets are sent early
)

// clauses are the kinds in words, about a subject.
var clauses = map[Kind]string{
	SenderStopped:      "%s cannot deliver any more",
	SenderInPlaintext:  "%s delivers in plaintext after failures",
	UnknownFailure:     "an unknown failure comes from several networks: %s",
	ReportTurnedBad:    "the TLS report of %s turned bad",
	CertificateExpires: "the certificate of %s has to be renewed",
	MTASTSDowngraded:   "the %s policy is served as testing",
	TLSADiffers:        "no TLSA record matches the certificate of %s",
	NextHopDown:        "the next hop %s is down",
	HostMissing:        "%s is missing from its fleet",
	HostAlone:          "%s does not share with its fleet",
	LedgerDrops:        "the ledger drops events (%s)",
	GateBypassed:       "the %s is bypassed: session tickets are sent early",
}

// About returns the kind and its subject in words, in one line: "outlook.com cannot deliver any
// more".
func (k Kind) About(subject string) string {
	subject = safetext.Shorten(subject, 60)
	if words, ok := clauses[k]; ok {
		return fmt.Sprintf(words, subject)
	}
	return string(k) + ": " + subject // of a newer version
}

// Heading returns About as it begins a sentence. A name keeps its first letter.
func (k Kind) Heading(subject string) string {
	text := k.About(subject)
	if k.AboutSender() || k.AboutHost() {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// AboutSender reports whether the subject of such an alert is an organization, or a network
// without one, whose mail does not arrive as it should.
func (k Kind) AboutSender() bool { return k == SenderStopped || k == SenderInPlaintext }

// AboutHost reports whether the subject of such an alert is a host of the fleet.
func (k Kind) AboutHost() bool { return k == HostMissing || k == HostAlone }

// readsSessions reports whether such an alert comes from the sessions that the ledger stores.
func (k Kind) readsSessions() bool { return k.AboutSender() || k == UnknownFailure }

// byStrangers reports whether strangers can cause such an alert.
func (k Kind) byStrangers() bool { return k.readsSessions() || k == ReportTurnedBad }

// StopsMail reports whether mail does not arrive while such an alert is open.
func (k Kind) StopsMail() bool { return k == SenderStopped || k == NextHopDown || k == TLSADiffers }
