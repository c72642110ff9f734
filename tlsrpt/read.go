package tlsrpt

import (
	"fmt"
	"strings"
)

// readReport takes the outermost object apart, in the order of RFC 8460, Section 4.4.
func readReport(o object) (*Report, error) {
	if err := checkReport(o); err != nil {
		return nil, err
	}
	r := new(Report)
	o.need("organization-name", "date-range", "contact-info", "report-id")
	r.Organization = o.text("organization-name")
	r.readRange(o)
	r.Contact = o.text("contact-info")
	r.ID = o.text("report-id")
	if strings.HasSuffix(r.ID, "+") {
		o.warnf("report-id", "ends in + without a domain behind it")
	}
	policies, err := o.objects("policies")
	if err != nil {
		return nil, err
	}
	if len(policies) == 0 {
		o.warnf("policies", "is an empty array")
	}
	for _, p := range policies {
		result, err := readResult(p)
		if err != nil {
			return nil, err
		}
		r.Policies = append(r.Policies, result)
	}
	r.Extra = o.rest()
	r.Warnings = *o.warn
	return r, nil
}

// checkReport tells a report from other JSON.
func checkReport(o object) error {
	raw, present := o.fields["policies"]
	if !present || raw[0] != '[' {
		return fmt.Errorf("%w: it has no array of policies", ErrNotReport)
	}
	for _, name := range []string{"organization-name", "date-range", "report-id"} {
		if _, present := o.fields[name]; present {
			return nil
		}
	}
	return fmt.Errorf("%w: it has no organization-name, date-range or report-id", ErrNotReport)
}

func (r *Report) readRange(o object) {
	if _, present := o.fields["date-range"]; !present {
		return
	}
	span := o.object("date-range")
	span.need("start-datetime", "end-datetime")
	r.Start, r.End = span.time("start-datetime"), span.time("end-datetime")
	if r.End.Before(r.Start) && !r.End.IsZero() {
		o.warnf("date-range", "ends before it starts")
	}
	o.putBack("date-range", span)
}

func readResult(o object) (p PolicyResult, err error) {
	o.need("policy", "summary")
	p.Policy = readPolicy(o)
	summary := o.object("summary")
	if summary.fields != nil {
		summary.need("total-successful-session-count", "total-failure-session-count")
	}
	p.Successful = summary.count("total-successful-session-count")
	p.Failed = summary.count("total-failure-session-count")
	o.putBack("summary", summary)
	failures, err := o.objects("failure-details")
	if err != nil {
		return p, err
	}
	for _, f := range failures {
		p.Failures = append(p.Failures, readFailure(f))
	}
	p.check(o)
	p.Extra = o.rest()
	return p, nil
}

func readPolicy(o object) (p Policy) {
	inner := o.object("policy")
	if inner.fields == nil {
		return p
	}
	inner.need("policy-type", "policy-domain")
	p.Type = PolicyType(inner.text("policy-type"))
	if !p.Type.Known() && p.Type != "" {
		inner.warnf("policy-type", "%.80q is not known to RFC 8460", p.Type)
	}
	if p.Type != NoPolicy {
		inner.need("policy-string")
	}
	p.Strings = inner.texts("policy-string")
	p.Domain = inner.text("policy-domain")
	p.MXHosts = inner.texts("mx-host") // Section 4.4 has a string, Appendix B an array
	p.Extra = inner.rest()
	return p
}

func readFailure(o object) (f Failure) {
	o.need("result-type", "failed-session-count")
	f.Result = ResultType(o.text("result-type"))
	if !f.Result.Known() && f.Result != "" {
		o.warnf("result-type", "%.80q is not known to RFC 8460", f.Result)
	}
	f.SendingMTA = o.addr("sending-mta-ip")
	f.ReceivingMX = o.text("receiving-mx-hostname")
	f.ReceivingHelo = o.text("receiving-mx-helo")
	f.ReceivingIP = o.addr("receiving-ip")
	f.Sessions = o.count("failed-session-count")
	f.AdditionalInfo = o.text("additional-information")
	f.ReasonCode = o.text("failure-reason-code")
	f.Extra = o.rest()
	return f
}
