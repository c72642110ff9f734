// Package metrics counts what a server does, for Prometheus.
//
//	m := metrics.New()
//	m.Collect(state)
//	http.Handle("/metrics", m.Handler(log))
//	m.SessionEnded(result, "")
//
// docs/metrics.md explains each metric.
//
// # Labels
//
// Each label has a fixed set of values, except name of certificates, which the operator sets:
// whatever senders do, the number of series stays the same. Those of counters exist from the
// start with the value 0, so that the first failure is seen as an increase.
//
// # Cost
//
// Mail never waits for a scrape: counters are atomic, and a scrape takes no lock that a session
// holds. What has a state, such as the ledger, is asked at the scrape.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/internal/buildinfo"
	"postern/internal/logkey"
	"postern/internal/nexthop/relay"
)

// Metrics are the metrics of one server. Make them with [New]. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	sessions      *prometheus.CounterVec // result, tls, resumed
	organizations *prometheus.CounterVec // organization, result
	failures      *prometheus.CounterVec // case, mode
	refusals      *prometheus.CounterVec // by, class
	decisions     *prometheus.CounterVec // kind, mode

	messages, recipients, bytes prometheus.Counter

	handshakeTime *prometheus.HistogramVec // tls, resumed
	messageTime   prometheus.Histogram
	nextHopTime   *prometheus.HistogramVec // step
	nextHopFailed *prometheus.CounterVec   // step

	// stepTime has the series of nextHopTime, each made when its step is first taken: a message
	// takes five, and looking up labels costs as much as counting.
	stepTime map[string]func() prometheus.Observer

	reports        *prometheus.CounterVec // verified
	reportSessions *prometheus.CounterVec // verified, result
	dkimTime       prometheus.Histogram
}

const namespace = "postern"

// New returns the metrics of a server that has done nothing yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),

		sessions:      counters("sessions_total", "SMTP sessions that have ended, by result, TLS version and whether they resumed an earlier TLS session.", "result", "tls", "resumed"),
		organizations: counters("organization_sessions_total", "These sessions by the organization of the sender, as far as forward-confirmed reverse DNS shows it.", "organization", "result"),
		failures:      counters("handshake_failures_total", "Failed handshakes of senders, by the likeliest case and the TLS mode.", "case", "mode"),
		refusals:      counters("refusals_total", "Commands refused (5xx) or deferred (4xx), by who said so.", "by", "class"),
		decisions:     counters("fallback_decisions_total", "Decisions of the fallback, by kind and the TLS mode decided for.", "kind", "mode"),

		messages:   counter("messages_total", "Messages that the next hop has accepted."),
		recipients: counter("recipients_total", "Recipients of accepted messages."),
		bytes:      counter("message_bytes_total", "Message text received, accepted or not."),

		handshakeTime: histograms("handshake_duration_seconds", "Time of completed TLS handshakes, with the waits for the sender.", handshakeBuckets, "tls", "resumed"),
		messageTime:   histogram("message_duration_seconds", "Time of accepted messages from MAIL to the reply to their text, with the waits for sender and next hop.", messageBuckets),
		nextHopTime:   histograms("next_hop_duration_seconds", "Time that the next hop took for a step.", nextHopBuckets, "step"),
		nextHopFailed: counters("next_hop_failures_total", "Failures of the next hop, by step; the sender was deferred.", "step"),

		reports:        counters("tls_reports_total", "TLS reports stored for the first time, by whether their submitter is verified.", "verified"),
		reportSessions: counters("tls_report_sessions_total", "Sessions in these reports, as the submitters count them.", "verified", "result"),
		dkimTime:       histogram("dkim_duration_seconds", "Time to verify the DKIM signatures of one mailed report, with DNS.", dkimBuckets),
	}
	m.registry.MustRegister(
		m.sessions, m.organizations, m.failures, m.refusals, m.decisions, m.messages, m.recipients, m.bytes,
		m.handshakeTime, m.messageTime, m.nextHopTime, m.nextHopFailed,
		m.reports, m.reportSessions, m.dkimTime, buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.stepTime = make(map[string]func() prometheus.Observer)
	for _, step := range relay.Steps() {
		m.stepTime[step] = sync.OnceValue(func() prometheus.Observer { return m.nextHopTime.WithLabelValues(step) })
	}
	m.zero()
	return m
}

// Bounds of the classic buckets, in seconds. The last ones are near the timeouts of package
// smtpd and of package relay.
var (
	handshakeBuckets = []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	messageBuckets   = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600}
	nextHopBuckets   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120, 600}
	dkimBuckets      = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(histogramOptions(name, help, buckets))
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogramOptions(name, help, buckets), labels)
}

// histogramOptions are those of a histogram with classic buckets, and with native ones beside
// them, which a server of Prometheus that can read them gets.
func histogramOptions(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}

// buildInfo is a metric of the value 1, whose labels say what is running.
func buildInfo() prometheus.Collector {
	build := buildinfo.Read()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version that is running.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Commit, "goversion": build.Go},
	})
	info.Set(1)
	return info
}

// maxScrapes bounds the scrapes at once.
const maxScrapes = 4

// Handler returns what answers a scrape. It logs what cannot be collected.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             10 * time.Second,
		DisableCompression:  true, // it would take most of the time of a scrape
	})
}

// An errorLog is the log of package promhttp.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) {
	for _, one := range v {
		// A client that goes away, or has waited too long, is no fault of the metrics.
		if err, ok := one.(error); ok && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrHandlerTimeout) {
			l.log.Error("cannot collect all metrics", logkey.Err, err)
		}
	}
}
