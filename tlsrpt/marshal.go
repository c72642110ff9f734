package tlsrpt

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// MarshalJSON implements [json.Marshaler]. It writes the fields in the order of
// RFC 8460, Section 4.4; [Parse] reads the same report back, without the Warnings. A
// field in Extra replaces the field of the same name.
func (r Report) MarshalJSON() ([]byte, error) {
	policies := make([]members, len(r.Policies))
	for i, p := range r.Policies {
		policies[i] = p.members()
	}
	var b bytes.Buffer
	err := withExtra(r.Extra,
		member{name: "organization-name", value: r.Organization},
		nested("date-range", r.Extra, optional("start-datetime", formatTime(r.Start)), optional("end-datetime", formatTime(r.End))),
		optional("contact-info", r.Contact),
		member{name: "report-id", value: r.ID},
		member{name: "policies", value: policies},
	).appendTo(&b)
	return b.Bytes(), err
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
	return withExtra(p.Extra,
		member{name: "policy", value: p.Policy.members()},
		nested("summary", p.Extra,
			member{name: "total-successful-session-count", value: p.Successful}, member{name: "total-failure-session-count", value: p.Failed}),
		details,
	)
}

func (p Policy) members() members {
	return withExtra(p.Extra,
		optional("policy-type", p.Type),
		texts("policy-string", p.Strings),
		optional("policy-domain", p.Domain),
		texts("mx-host", p.MXHosts),
	)
}

func (f Failure) members() members {
	return withExtra(f.Extra,
		optional("result-type", f.Result),
		optional("sending-mta-ip", f.SendingMTA),
		optional("receiving-mx-hostname", f.ReceivingMX),
		optional("receiving-mx-helo", f.ReceivingHELO),
		optional("receiving-ip", f.ReceivingIP),
		member{name: "failed-session-count", value: f.Sessions},
		optional("additional-information", f.AdditionalInfo),
		optional("failure-reason-code", f.ReasonCode),
	)
}

// A member is a field of a JSON object. Without a name it is left out.
type member struct {
	name   string
	value  any
	merged bool // value includes what Extra has under this name
}

// members is a JSON object whose fields have an order.
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

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// nested returns a member that is an object without an Extra of its own: its unknown
// fields are in the outer object's Extra.
func nested(name string, extra Extra, known ...member) member {
	var inner Extra
	if raw, present := extra[name]; present && json.Unmarshal(raw, &inner) != nil {
		return member{name: name, value: raw} // it was not an object
	}
	return member{name: name, value: withExtra(inner, known...), merged: true}
}

// withExtra returns the known fields, then those of extra, sorted by name.
func withExtra(extra Extra, known ...member) members {
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

// appendTo appends the object as JSON. It does not go through encoding/json, which would check
// and copy each object once for every object around it.
func (m members) appendTo(b *bytes.Buffer) error {
	b.WriteByte('{')
	for i, one := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(one.name) // cannot fail: it is a string
		b.Write(name)
		b.WriteByte(':')
		if err := appendValue(b, one.value); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func appendValue(b *bytes.Buffer, value any) error {
	switch value := value.(type) {
	case members:
		return value.appendTo(b)
	case []members:
		b.WriteByte('[')
		for i, one := range value {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := one.appendTo(b); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	text, err := json.Marshal(value)
	b.Write(text)
	return err
}
