package metrics

import (
	"cmp"
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/certs"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/smtpd"
	"postern/mtasts"
)

// A State is what is asked of a server at each scrape.
type State struct {
	SMTP         smtpd.State
	Ledger       ledger.Stats
	Certificates []*x509.Certificate // in use
	Policies     map[mtasts.Mode]int // domains by the mode that they serve; "": not decided yet

	// Findings are those of the last self-check, by severity in words. A kind that was not
	// checked has none.
	Findings map[ledger.CheckKind]map[string]int
	Fleet    *fleet.Status // nil: this host is alone
}

// Collect adds the metrics that are read from a state. It is called once; state is called at
// each scrape, and must not wait for anything that mail waits for.
func (m *Metrics) Collect(state func() State) { m.registry.MustRegister(stateCollector{state}) }

// A stateCollector makes metrics of a state.
type stateCollector struct{ state func() State }

var (
	connections      = desc("connections", "Open SMTP connections.")
	connectionsLimit = desc("connections_limit", "The most connections at once, of all senders (total) and of one network.", "scope")
	draining         = desc("draining", "1 while the server shuts down and accepts no connections, else 0.")
	gateBypassed     = desc("gate_bypassed", "1 after a session ticket was sent early because crypto/tls did not write as expected, else 0.")

	plaintextAfterFailure = desc("plaintext_after_failure_total", "Sessions that delivered in plaintext after the sender's handshake had failed.")
	ledgerQueued          = desc("ledger_queued_events", "Events that wait to be stored in the ledger.")
	ledgerQueuedBytes     = desc("ledger_queued_bytes", "About the memory that these events take.")
	ledgerDropped         = desc("ledger_dropped_events_total", "Events that the ledger did not store; mail is not affected.")
	ledgerSize            = desc("ledger_size_bytes", "Size of the ledger's files.")

	fleetConnected   = desc("fleet_connected", "1 while this host shares with the others of its fleet, 0 while it goes on alone. Absent without a fleet.")
	fleetKeySince    = desc("fleet_ticket_key_timestamp_seconds", "When the key that encrypts session tickets came into use, in seconds since 1970. Absent without a fleet.")
	fleetPublished   = desc("fleet_published_timestamp_seconds", "When this host last had published all that it stored, in seconds since 1970. Absent until then.")
	fleetTaken       = desc("fleet_taken_timestamp_seconds", "When this host last had taken all that the others of its fleet published, in seconds since 1970. Absent until then.")
	fleetUnpublished = desc("fleet_unpublished_events_total", "Events that other hosts do not get, since too many waited to be published. Absent without a fleet.")

	certificateExpiry = desc("certificate_expiry_timestamp_seconds", "When a certificate in use ends, in seconds since 1970.", "name", "key")
	mtaSTSDomains     = desc("mta_sts_domains", "Domains by the mode of the MTA-STS policy that they serve now.", "mode")
	probeFindings     = desc("probe_findings", "Findings of the last self-check, by what was checked and how bad they are.", "kind", "severity")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// Describe is part of [prometheus.Collector].
func (c stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connections, connectionsLimit, draining, gateBypassed,
		plaintextAfterFailure, ledgerQueued, ledgerQueuedBytes, ledgerDropped, ledgerSize,
		certificateExpiry, mtaSTSDomains, probeFindings, fleetConnected, fleetKeySince, fleetPublished, fleetTaken, fleetUnpublished,
	} {
		to <- d
	}
}

// Collect is part of [prometheus.Collector].
func (c stateCollector) Collect(to chan<- prometheus.Metric) {
	s := c.state()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value int64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	gauge(connections, float64(s.SMTP.Sessions))
	gauge(connectionsLimit, float64(s.SMTP.Limits.Total.Connections), "total")
	gauge(connectionsLimit, float64(s.SMTP.Limits.PerNetwork.Connections), "network")
	gauge(draining, number(s.SMTP.Draining))
	gauge(gateBypassed, number(s.SMTP.GateBypassed))

	count(plaintextAfterFailure, s.Ledger.Returned)
	gauge(ledgerQueued, float64(s.Ledger.Queued))
	gauge(ledgerQueuedBytes, float64(s.Ledger.QueuedBytes))
	count(ledgerDropped, s.Ledger.Dropped)
	gauge(ledgerSize, float64(s.Ledger.Size))

	if f := s.Fleet; f != nil {
		gauge(fleetConnected, number(f.Problem == ""))
		gauge(fleetKeySince, float64(f.Since.Unix()))
		count(fleetUnpublished, s.Ledger.Unpublished)
		if !f.Published.IsZero() {
			gauge(fleetPublished, float64(f.Published.Unix()))
		}
		if !f.Taken.IsZero() {
			gauge(fleetTaken, float64(f.Taken.Unix()))
		}
	}
	for of, end := range expiries(s.Certificates) {
		gauge(certificateExpiry, float64(end.Unix()), of.name, of.key)
	}
	for _, mode := range policyModes {
		gauge(mtaSTSDomains, float64(s.Policies[mode]), cmp.Or(string(mode), notDecided))
	}
	for kind, counts := range s.Findings {
		for _, severity := range severities {
			gauge(probeFindings, float64(counts[severity.String()]), string(kind), severity.String())
		}
	}
}

// policyModes are those of the label mode of policies.
var policyModes = []mtasts.Mode{mtasts.Enforce, mtasts.Testing, mtasts.None, ""}

const notDecided = "undecided"

// severities are those of findings that somebody may want to look at.
var severities = []probe.Severity{probe.Notice, probe.Unclear, probe.Warning, probe.Critical}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A certificate is how a certificate is named in labels. Two with the same name and kind of key
// are one, that of the earlier end.
type certificate struct{ name, key string }

// maxName is that of a domain name.
const maxName = 255

func expiries(all []*x509.Certificate) map[certificate]time.Time {
	ends := make(map[certificate]time.Time)
	for _, c := range all {
		of := certificate{safetext.Truncate(certs.NameOf(c), maxName), c.PublicKeyAlgorithm.String()}
		if end, known := ends[of]; !known || c.NotAfter.Before(end) {
			ends[of] = c.NotAfter
		}
	}
	return ends
}
