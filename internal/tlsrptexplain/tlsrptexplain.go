// Package tlsrptexplain explains TLS reports (RFC 8460) to the operator of the server
// that they are about: what changed since earlier reports, what the result types mean,
// what the server itself recorded of the sender in the same hours, what a probe of the
// domain finds now, the most likely cause, and one next step.
//
//	x := tlsrptexplain.Explainer{Ledger: reader, Resolver: net.DefaultResolver, Prober: prober}
//	e, err := x.Explain(ctx, question)
//
// # Security
//
// Anyone can send a report and name any submitter and any domain in it. An unverified report
// is matched to sessions too, and its conclusion says that it holds only if the report is
// genuine. It makes no probe of a domain that is not known to be this server's. Explaining a
// report changes nothing: neither modes nor what is stored.
//
// Sentences quote what strangers wrote, shortened and escaped. All other fields contain
// it unchanged.
package tlsrptexplain

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/interop"
	"postern/tlsrpt"
)

// A Ledger has the recorded sessions; see [ledger.Reader].
type Ledger interface {
	Activity(ctx context.Context, in ledger.Span, whose ledger.SenderQuery) ([]ledger.Activity, error)
	FailingAddresses(ctx context.Context, in ledger.Span, limit int) ([]netip.Addr, error)
}

// A Resolver makes DNS queries as [net.Resolver] does: for forward-confirmed reverse DNS, and
// for the MX hosts of this server's domains.
type Resolver interface {
	organization.Resolver
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupCNAME(ctx context.Context, host string) (string, error)
}

// A Prober probes a domain, as [probe.Prober] does.
type Prober interface {
	Probe(ctx context.Context, target string) (*probe.Report, error)
}

// An Explainer explains reports. Each field may be nil; the explanation then says what
// was not checked.
type Explainer struct {
	Ledger   Ledger
	Resolver Resolver
	Prober   Prober

	// Offline says why there is no Prober.
	Offline string
}

// A Question is a report to explain, and what is known about it and this server.
type Question struct {
	Report    *tlsrpt.Report
	Submitter string // the domain of the organization that sent the report; empty if unknown
	Verified  bool   // the report was signed by the submitter

	// History are the stored reports of the same submitter in order of arrival. It may
	// include the report itself.
	History []PastReport

	// Hostname is this server's name, and Domains are those that it accepts mail for.
	// They are empty if unknown.
	Hostname string
	Domains  []string

	Now time.Time // end of the time in which later sessions are counted
}

// An Explanation explains a report.
type Explanation struct {
	Results    []Result // one for each policy of the report, most failures first; at most 20
	More       int      // policies that were left out
	Activity   Activity
	Records    Records
	Conclusion Conclusion

	domain policyDomain // of the result with most failures
}

// A Conclusion is the most likely cause of the failures, and one next step.
type Conclusion struct {
	Cause      string             // in sentences
	Confidence interop.Confidence // in the cause; 0 if it is unknown
	Case       *interop.Case      // the known client behaviour that is the cause, or nil
	Next       string
	Sources    []string // URLs
}

// Explain explains a report. It returns errors of the ledger only: other checks that fail
// are noted in the explanation.
func (x Explainer) Explain(ctx context.Context, q Question) (*Explanation, error) {
	e := new(Explanation)
	e.Results, e.More = results(q)
	var err error
	if e.Activity, err = x.activity(ctx, q); err != nil {
		return nil, err
	}
	e.Activity.Unverified = !q.Verified
	e.domain = x.policyDomain(ctx, q, e.worst().Policy)
	e.Records = x.records(ctx, q, e.domain)
	e.Conclusion = conclude(q, e)
	return e, nil
}

// worst returns the result with most failures, or an empty one if there is none.
func (e *Explanation) worst() Result {
	if len(e.Results) == 0 {
		return Result{}
	}
	return e.Results[0]
}

// Failed returns the number of failed sessions in all Results.
func (e *Explanation) Failed() (n int64) {
	for _, r := range e.Results {
		n += r.Failed
	}
	return n
}

const maxSources = 8

// Sources returns the URLs of documentation for the cause and the result types, most
// relevant first and without duplicates.
func (e *Explanation) Sources() []string {
	all := slices.Clone(e.Conclusion.Sources)
	for _, r := range e.Results {
		for _, c := range r.Counts {
			all = append(all, c.Sources...)
		}
	}
	seen := make(map[string]bool)
	all = slices.DeleteFunc(all, func(url string) bool {
		duplicate := seen[url]
		seen[url] = true
		return duplicate
	})
	return all[:min(len(all), maxSources)]
}

// maxQuoted bounds what is quoted of a stranger's text, in characters.
const maxQuoted = 80

func quoted(s string) string { return safetext.Quote(s, maxQuoted) }

func named(s string) string { return safetext.Name(s, maxQuoted) }

// count returns a number with its noun in the right form.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
