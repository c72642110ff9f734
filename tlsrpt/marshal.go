package tlsrpt

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// MarshalJSON writes the report in the order of RFC 8460, Section 4.4. What [Parse] reads of it is the
// same but for the Warnings. A field in Extra stands for the one of the same name.
func (r Report) MarshalJSON() ([]byte, error) {
	policies := make([]members, len(r.Policies))
	for i, p := range r.Policies {
		policies[i] = p.members()
	}
	return json.Marshal(write(r.Extra,
		member{name: "organization-name", value: r.Organization},
		within("date-range", r.Extra, optional("start-datetime", written(r.Start)), optional("end-datetime", written(r.End))),
		optional("contact-info", r.Contact),
		member{name: "report-id", value: r.ID},
		member{name: "policies", value: policies},
	))
}

func (p PolicyResult) members() members {
	failures := make([]members, len(p.Failures))
	for i, f := range p.Failures {
		failures[i] = f.members()
	}
	details := member{name: "failure-details", value: failures}
	if len(failures) == 0 {
		details = member{}
	}
	return write(p.Extra,
		member{name: "policy", value: p.Policy.members()},
		within("summary", p.Extra,
			member{name: "total-successful-session-count", value: p.Successful}, member{name: "total-failure-session-count", value: p.Failed}),
		details,
	)
}

func (p Policy) members() members {
	return write(p.Extra,
		optional("policy-type", p.Type),
		texts("policy-string", p.Strings),
		optional("policy-domain", p.Domain),
		texts("mx-host", p.MXHosts),
	)
}

func (f Failure) members() members {
	return write(f.Extra,
		optional("result-type", f.Result),
		optional("sending-mta-ip", f.SendingMTA),
		optional("receiving-mx-hostname", f.ReceivingMX),
		optional("receiving-mx-helo", f.ReceivingHelo),
		optional("receiving-ip", f.ReceivingIP),
		member{name: "failed-session-count", value: f.Sessions},
		optional("additional-information", f.AdditionalInfo),
		optional("failure-reason-code", f.ReasonCode),
	)
}

// A member is one field of an object that is written; one without a name is not.
type member struct {
	name   string
	value  any
	merged bool // has taken in what Extra holds under its name
}

// members are an object whose fields have an order.
type members []member

func optional[T comparable](name string, value T) member {
	var zero T
	if value == zero {
		return member{}
	}
	return member{name: name, value: value}
}

func texts(name string, list []string) member {
	if len(list) == 0 {
		return member{}
	}
	return member{name: name, value: list}
}

func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// within makes a member that is an object without an Extra of its own: what it had
// besides stands in the outer object's.
func within(name string, extra Extra, known ...member) member {
	var inner Extra
	if raw, present := extra[name]; present && json.Unmarshal(raw, &inner) != nil {
		return member{name: name, value: raw} // something else stood there
	}
	return member{name: name, value: write(inner, known...), merged: true}
}

// write puts the known fields first and the others behind them, by name.
func write(extra Extra, known ...member) members {
	var all members
	seen := make(map[string]bool)
	for _, m := range known {
		if raw, other := extra[m.name]; other && !m.merged {
			m.value = raw
		}
		if m.name != "" {
			all = append(all, m)
			seen[m.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if !seen[name] {
			all = append(all, member{name: name, value: extra[name]})
		}
	}
	return all
}

func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
