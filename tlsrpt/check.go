package tlsrpt

import "fmt"

// check warns of what is odd about a result as a whole.
func (p *PolicyResult) check(o object) {
	var sum int64
	for i, f := range p.Failures {
		sum += f.Sessions
		f.check(object{path: fmt.Sprintf("%s[%d]", o.at("failure-details"), i), warn: o.warn}, p.Policy.Type)
	}
	switch {
	case len(p.Failures) == 0 && p.Failed > 0:
		o.warnf("failure-details", "are missing for %d failed sessions", p.Failed)
	case sum != p.Failed:
		o.warnf("summary.total-failure-session-count", "says %d, the details add up to %d", p.Failed, sum)
	}
}

// check warns of what a failure does not say.
func (f Failure) check(o object, policy PolicyType) {
	switch {
	case f.bare() && f.Result == ValidationFailure && policy == PolicySTS:
		o.warn.add(o.path, "has no detail: handshakes that did not end were so counted too (golang/go#70232)")
	case f.bare():
		o.warn.add(o.path, "has no detail")
	case !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid():
		o.warn.add(o.path, "has no addresses")
	}
}

// bare tells whether a failure is a type and a number and no more.
func (f Failure) bare() bool {
	return !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid() && f.Extra == nil &&
		f.ReceivingMX+f.ReceivingHelo+f.AdditionalInfo+f.ReasonCode == ""
}
