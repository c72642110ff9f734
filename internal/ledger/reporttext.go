package ledger

import (
	"encoding/json"
	"fmt"
	"slices"

	"postern/internal/safetext"
	"postern/tlsrpt"
)

// MaxReportText bounds a text of a [Report.Shortened], in bytes.
const MaxReportText = 1000

// Shortened returns the report as it is shown: texts of more than [MaxReportText] bytes are cut
// and end in "…", in the Content too, and a warning counts them. A report can have a text of
// megabytes, which would flood a terminal or a log.
func (r Report) Shortened() (Report, error) {
	content, err := r.Parse()
	if err != nil {
		return r, err
	}
	var c cutter
	for _, text := range []*string{&r.Submitter, &r.Organization, &r.ReportID} {
		*text = safetext.Truncate(*text, maxName) // as when stored
	}
	r.Domains = slices.Clone(r.Domains)
	for i := range r.Domains {
		r.Domains[i] = safetext.Truncate(r.Domains[i], maxName)
	}
	c.texts(&content.Organization, &content.Contact, &content.ID)
	content.Extra = c.extra(content.Extra)
	for i := range content.Policies {
		c.policy(&content.Policies[i])
	}
	if c == 0 {
		return r, nil
	}
	warning := fmt.Sprintf("texts of more than %d bytes are cut here: %d", MaxReportText, c)
	r.Warnings = append([]string{warning}, r.Warnings...)
	r.Content, err = json.Marshal(content)
	return r, err
}

// A cutter cuts texts, and is the number of those that were too long.
type cutter int

func (c *cutter) texts(all ...*string) {
	for _, text := range all {
		if len(*text) > MaxReportText {
			*c++
			*text = safetext.Truncate(*text, MaxReportText) + "…"
		}
	}
}

func (c *cutter) list(all []string) {
	for i := range all {
		c.texts(&all[i])
	}
}

func (c *cutter) policy(p *tlsrpt.PolicyResult) {
	c.texts((*string)(&p.Policy.Type), &p.Policy.Domain)
	c.list(p.Policy.Strings)
	c.list(p.Policy.MXHosts)
	p.Policy.Extra, p.Extra = c.extra(p.Policy.Extra), c.extra(p.Extra)
	for i := range p.Failures {
		f := &p.Failures[i]
		c.texts((*string)(&f.Result), &f.ReceivingMX, &f.ReceivingHELO, &f.AdditionalInfo, &f.ReasonCode)
		f.Extra = c.extra(f.Extra)
	}
}

// extra cuts the JSON of a field that is too long to a text with its start.
func (c *cutter) extra(all tlsrpt.Extra) tlsrpt.Extra {
	if all == nil {
		return nil
	}
	short := make(tlsrpt.Extra, len(all))
	for name, value := range all {
		text := string(value)
		if c.texts(&name, &text); len(text) != len(value) {
			value, _ = json.Marshal(text) // cannot fail: it is a string
		}
		short[name] = value
	}
	return short
}
