// Package meaning says what a TLS report (RFC 8460) means to the server that it is about:
// what changed, what its words can and cannot mean, what the server itself saw of
// the sender in the same hours, how its records look now, the likeliest cause, and the
// one next step.
//
//	e, err := meaning.Explainer{Ledger: reader, Resolver: net.DefaultResolver, Prober: prober}.Explain(ctx, question)
//
// # Trust
//
// A report can be forged. One that is not trusted is explained by itself: it is never laid
// beside the sessions of the sender that it names.
//
// # Words
//
// What strangers wrote stands in the texts as in a Go string, cut short; in the other
// fields it is as they wrote it.
package tlsrptexplain

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/tlsrpt"
)

// A Ledger knows what senders did; see [ledger.Reader].
type Ledger interface {
	Activity(ctx context.Context, in ledger.Span, whose ledger.SenderQuery) ([]ledger.Activity, error)
	FailingAddresses(ctx context.Context, in ledger.Span, limit int) ([]netip.Addr, error)
}

// A Resolver knows names of addresses; [net.Resolver] is one.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Prober looks at a domain; [probe.Prober] is one.
type Prober interface {
	Probe(ctx context.Context, target string) (*probe.Report, error)
}

// An Explainer explains with what it can ask. What is nil is not asked, and the explanation says so.
type Explainer struct {
	Ledger   Ledger
	Resolver Resolver
	Prober   Prober
}

// A Question is a report to explain.
type Question struct {
	Report    *tlsrpt.Report
	Submitter string // the domain of whoever sends the report; empty: not known
	Verified  bool   // it does come from there

	// History are the reports of the same submitter that are kept, in the order in which
	// they came. The report itself may be among them.
	History []*tlsrpt.Report

	// Hostname is what our server calls itself, Domains are those that it takes mail for; empty: not known.
	Hostname string
	Domains  []string

	Now time.Time // until when senders are looked at
}

// An Explanation is what a report means.
type Explanation struct {
	Results    []Result // one for each policy of the report, that with most failures first; 20 at most
	More       int      // policies that are not among them
	Activity   Activity
	Records    Records
	Conclusion Conclusion
}

// Explain explains a report. The error is the ledger's; what else does not answer is told in
// the explanation. It takes as long as those it asks.
func (x Explainer) Explain(ctx context.Context, q Question) (*Explanation, error) {
	e := new(Explanation)
	e.Results, e.More = results(q)
	var err error
	if e.Activity, err = x.look(ctx, q); err != nil {
		return nil, err
	}
	e.Records = x.records(ctx, q, e.worst())
	e.Conclusion = conclude(q, e)
	return e, nil
}

// worst is the result with most failures; one without any if there is none.
func (e *Explanation) worst() Result {
	if len(e.Results) == 0 {
		return Result{}
	}
	return e.Results[0]
}

// Failed is how many sessions failed, under all policies of Results.
func (e *Explanation) Failed() (n int64) {
	for _, r := range e.Results {
		n += r.Failed
	}
	return n
}

// maxSources bounds the list of sources: the first say the most.
const maxSources = 8

// Sources are the URLs of where it is told what the report's words and its cause mean, without
// repetition.
func (e *Explanation) Sources() []string {
	all := slices.Clone(e.Conclusion.Sources)
	for _, r := range e.Results {
		for _, m := range r.Counts {
			all = append(all, m.Sources...)
		}
	}
	known := make(map[string]bool)
	all = slices.DeleteFunc(all, func(url string) bool {
		again := known[url]
		known[url] = true
		return again
	})
	return all[:min(len(all), maxSources)]
}

// maxQuoted bounds what is quoted of a report's text, in characters.
const maxQuoted = 80

func quoted(s string) string { return safetext.Quote(s, maxQuoted) }

func named(s string) string { return safetext.Name(s, maxQuoted) }

// lower begins a sentence as part of another, where its first word is no name.
func lower(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	second, _ := utf8.DecodeRuneInString(s[size:])
	if unicode.IsUpper(second) {
		return s
	}
	return string(unicode.ToLower(first)) + s[size:]
}

// count is a number with its noun, which takes an s or es.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
