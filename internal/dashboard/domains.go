package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/internal/dnsrecords"
	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// domainAreas lists the domains with the worst of each area.
func (d *Dashboard) domainAreas(r *http.Request, book *ledger.Reader) (*view, error) {
	part := r.FormValue("domain")
	stored, err := book.Checks(r.Context(), ledger.CheckFilter{Kind: ledger.DomainCheck, Name: part, Limit: rowsOfPage})
	if err != nil {
		return nil, err
	}
	when, err := d.checks(r.Context(), book, ledger.DomainCheck)
	if err != nil {
		return nil, err
	}
	all, err := summariesOf[jsonout.DomainHealth](stored)
	if err != nil {
		return nil, err
	}
	return &view{
		Template: "domains", Title: "Domains", Live: true,
		Data: struct {
			Checks  checks
			Part    string
			Domains []jsonout.DomainHealth
			Full    bool
		}{when, part, all, len(all) == rowsOfPage},
		JSON: linesOf(all, func(h jsonout.DomainHealth) jsonout.DomainHealth { return h }),
	}, nil
}

// domain shows what the last check of a domain found.
func (d *Dashboard) domain(r *http.Request, book *ledger.Reader) (*view, error) {
	_, health, err := contentOf[jsonout.DomainHealth](r.Context(), book, ledger.DomainCheck, r.PathValue("domain"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &statusError{http.StatusNotFound, "This domain has not been checked, or is not one of this server's."}
	case err != nil:
		return nil, err
	}
	page := checkedDomain{DomainHealth: health}
	if health.DNS != nil {
		page.Steps = stepsOf(*health.DNS, d.now())
	}
	return &view{Template: "domain", Title: health.Domain, Data: page, JSON: health}, nil
}

// areaNames are the areas of a domain as people read them.
var areaNames = map[string]string{
	"mx": "MX hosts", "certificate": "Certificates", "mta-sts": "MTA-STS", "tlsa": "TLSA (DANE)", "tlsrpt": "TLS reports", "dnssec": "DNSSEC",
}

// A checkedDomain is the result of a check.
type checkedDomain struct {
	jsonout.DomainHealth
	Steps []rolloverStep // of a key rollover; none if there is none
}

// Findings are those of the domain and its hosts that are not as they should be, the worst first.
func (c checkedDomain) Findings() []jsonout.Finding {
	if c.Probe == nil {
		return nil
	}
	all := slices.DeleteFunc(c.Probe.AllFindings(), func(f jsonout.Finding) bool { return f.Severity == "ok" })
	slices.SortStableFunc(all, func(a, b jsonout.Finding) int { return rank(a.Severity) - rank(b.Severity) })
	return all
}

// rank is less for what is worse.
func rank(severity string) int {
	return slices.Index([]string{"critical", "warning", "unclear", "notice"}, severity)
}

// A rolloverStep is a step of a key rollover (RFC 7671, Section 8.1).
type rolloverStep struct {
	Name    string
	Text    string
	Current bool
	Done    bool
	Until   time.Time // of the wait
	Left    string
}

// stepsOf returns the steps of the rollover that is pending.
func stepsOf(zone jsonout.Zone, now time.Time) []rolloverStep {
	current := zone.Step
	if current == dnsrecords.Wait && zone.Until != nil && !now.Before(*zone.Until) {
		current = dnsrecords.Switch // since the check
	}
	steps := []rolloverStep{
		{Name: "Publish", Text: "Publish the missing TLSA records. Leave the others as they are."},
		{Name: "Wait", Text: "Wait until no cache holds the old records any more."},
		{Name: "Switch", Text: "Run postern dns --switch-key, or install the certificate of the next key."},
		{Name: "Remove", Text: "Remove the TLSA records of keys that are not in use."},
	}
	at := -1
	for i, step := range steps {
		if string(current) == strings.ToLower(step.Name) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	for i := range steps {
		steps[i].Current, steps[i].Done = i == at, i < at
	}
	if current == dnsrecords.Wait && zone.Until != nil {
		steps[at].Until, steps[at].Left = *zone.Until, lasting(zone.Until.Sub(now))
	}
	return steps
}

// lasting is a duration in words, rounded up to minutes.
func lasting(d time.Duration) string {
	minutes := int((d + time.Minute - 1) / time.Minute)
	if minutes < 60 {
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}
