package metrics

import (
	"crypto/tls"
	"slices"
	"strconv"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/nexthop/relay"
	"postern/internal/organization"
	"postern/internal/smtpd"
	"postern/interop"
	"postern/sessionticket"
)

// The results of sessions.
const (
	delivered       = "delivered"        // at least one message
	handshakeFailed = "handshake_failed" // see postern_handshake_failures_total
	scanner         = "scanner"          // a failed handshake of a scanner
	overLimit       = "over_limit"       // no message, and a limit was reached
	refused         = "refused"          // no message, and a command was refused or deferred
	noMail          = "no_mail"          // nothing of these
)

var (
	results  = []string{delivered, handshakeFailed, scanner, overLimit, refused, noMail}
	versions = []string{withoutTLS, "1.2", "1.3"}
	classes  = []string{"4xx", "5xx"}
	speakers = []string{"postern", "next hop"}
	kinds    = []fallback.Kind{
		fallback.FellBack, fallback.Reverted, fallback.Recovered, fallback.RetryFailed,
		fallback.Pinned, fallback.Unpinned, fallback.Forgotten,
	}
	modes = []sessionticket.Mode{
		sessionticket.OwnWrite, sessionticket.FirstWrite, sessionticket.NoTicket, sessionticket.TLS12, sessionticket.Stock,
	}
)

const (
	withoutTLS  = "none"
	withoutMode = "none" // no ClientHello came
)

// zero makes all series of counters.
func (m *Metrics) zero() {
	for _, result := range results {
		for _, version := range versions {
			m.sessions.WithLabelValues(result, version, "false")
			if version != withoutTLS {
				m.sessions.WithLabelValues(result, version, "true")
			}
		}
	}
	for _, label := range organization.Labels() {
		for _, result := range results {
			m.organizations.WithLabelValues(label, result)
		}
	}
	for _, id := range caseIDs() {
		m.failures.WithLabelValues(id, withoutMode)
		for _, mode := range modes {
			m.failures.WithLabelValues(id, mode.String())
		}
	}
	for _, by := range speakers {
		for _, class := range classes {
			m.refusals.WithLabelValues(by, class)
		}
	}
	for _, kind := range kinds {
		for _, mode := range modes {
			m.decisions.WithLabelValues(string(kind), mode.String())
		}
	}
	for _, step := range relay.Steps() {
		m.nextHopFailed.WithLabelValues(step)
	}
	for _, verified := range []string{"false", "true"} {
		m.reports.WithLabelValues(verified)
		m.reportSessions.WithLabelValues(verified, "success")
		m.reportSessions.WithLabelValues(verified, "failure")
	}
}

// caseIDs are the values of the label case.
func caseIDs() []string {
	ids := []string{ledger.Unknown}
	for _, c := range interop.Cases() {
		ids = append(ids, c.ID)
	}
	return ids
}

// SessionEnded counts a session, unless it is a probe's. If its handshake failed, the case is
// the id of the likeliest one, [ledger.Unknown] or [ledger.Scanner], and otherwise empty. The
// caller calls named once, when it knows the name of the sender's host by forward-confirmed
// reverse DNS, or that it has none.
func (m *Metrics) SessionEnded(r smtpd.SessionResult, id string) (named func(host string)) {
	if r.Probe {
		return func(string) {}
	}
	version, resumed := tlsLabels(r.TLS)
	result := resultOf(r, id)
	m.sessions.WithLabelValues(result, version, resumed).Inc()
	m.bytes.Add(float64(r.Bytes))
	switch id {
	case "":
		if r.TLS != nil {
			m.handshakeTime.WithLabelValues(version, resumed).Observe(r.Handshake.Seconds())
		}
	case ledger.Scanner:
	default:
		mode := withoutMode
		if r.JA4 != "" {
			mode = r.Mode.String()
		}
		m.failures.WithLabelValues(id, mode).Inc()
	}
	return func(host string) {
		m.organizations.WithLabelValues(organization.Of(host, "").Label(), result).Inc()
	}
}

func resultOf(r smtpd.SessionResult, id string) string {
	switch {
	case id == ledger.Scanner:
		return scanner
	case id != "":
		return handshakeFailed
	case r.Messages > 0:
		return delivered
	case r.Limit != nil:
		return overLimit
	case r.Refused+r.Deferred > 0:
		return refused
	}
	return noMail
}

func tlsLabels(state *tls.ConnectionState) (version, resumed string) {
	switch {
	case state == nil:
		return withoutTLS, "false"
	case state.Version >= tls.VersionTLS13:
		return "1.3", strconv.FormatBool(state.DidResume)
	}
	return "1.2", strconv.FormatBool(state.DidResume)
}

// CommandRefused counts a refused or deferred command, unless it is a probe's.
func (m *Metrics) CommandRefused(c smtpd.RefusedCommand) {
	if c.Probe {
		return
	}
	by, class := speakers[0], classes[1]
	if c.Reply.Remote {
		by = speakers[1]
	}
	if c.Reply.Transient() {
		class = classes[0]
	}
	m.refusals.WithLabelValues(by, class).Inc()
}

// MessageAccepted counts an accepted message.
func (m *Metrics) MessageAccepted(a smtpd.AcceptedMessage) {
	m.messages.Inc()
	m.recipients.Add(float64(len(a.Recipients)))
	m.messageTime.Observe(a.Took.Seconds())
}

// Decided counts decisions of the fallback.
func (m *Metrics) Decided(decisions []fallback.Decision) {
	for _, d := range decisions {
		if slices.Contains(kinds, d.Kind) && slices.Contains(modes, d.To) {
			m.decisions.WithLabelValues(string(d.Kind), d.To.String()).Inc()
		}
	}
}

// NextHopStep counts a step of the dialogue with the next hop, as [relay.Config].Observe gets it.
func (m *Metrics) NextHopStep(step string, took time.Duration, failed bool) {
	if failed {
		m.nextHopFailed.WithLabelValues(step).Inc()
		return
	}
	m.stepTime[step]().Observe(took.Seconds())
}

// Stored counts the end of storing a message in a Maildir, as its Observe gets it.
func (m *Metrics) Stored(took time.Duration, failed bool) {
	m.NextHopStep(relay.EndOfText, took, failed)
}

// ReportStored counts a report that was not stored before.
func (m *Metrics) ReportStored(r ledger.Report) {
	verified := strconv.FormatBool(r.Verified)
	m.reports.WithLabelValues(verified).Inc()
	m.reportSessions.WithLabelValues(verified, "success").Add(float64(max(r.Successful, 0)))
	m.reportSessions.WithLabelValues(verified, "failure").Add(float64(max(r.Failed, 0)))
}

// DKIMVerified counts the verification of a mailed report.
func (m *Metrics) DKIMVerified(took time.Duration) { m.dkimTime.Observe(took.Seconds()) }
