package probe

import (
	"errors"

	"postern/internal/txtrecord"
	"postern/tlsrpt"
)

// reporting tells whether senders know where to report TLS failures to.
func reporting(e *domainExam) []Finding {
	name := "_smtp._tls." + e.Domain
	f := Finding{ID: "tlsrpt", Sources: []string{"https://www.rfc-editor.org/rfc/rfc8460"}}
	records, err := e.names.texts(e.ctx, name)
	if err != nil {
		return []Finding{unanswered("tlsrpt", "TLS reporting", err)}
	}
	record, err := tlsrpt.FindRecord(records)
	switch {
	case err == nil:
		return []Finding{fine(f.ID, "Senders know where to report TLS failures to", quoted(record.String()))}
	case errors.Is(err, txtrecord.ErrNone):
		f.Severity, f.Title = Notice, "Nobody tells you when TLS fails: the domain asks for no reports"
		f.Evidence = []string{"no TXT record at " + name}
	default:
		f.Severity, f.Title = Warning, "The TLS reporting record is wrong, and senders take it for none"
		f.Evidence = []string{clean(err)}
	}
	f.Advice = everyone("Publish one TXT record at " + name + ", such as v=TLSRPTv1; rua=mailto:tls-reports@" + e.Domain)
	return []Finding{f}
}

// unanswered is about what the resolver did not say.
func unanswered(id, what string, err error) Finding {
	return Finding{
		ID: id, Severity: Unclear, Title: what + " could not be looked up", Evidence: []string{clean(err)},
		Advice: everyone("Ask another DNS server: --resolver ADDR."),
	}
}
