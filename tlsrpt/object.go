package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// An object is a JSON object that is being parsed. Its methods remove the fields that
// they return. What remains at the end becomes Extra: unknown fields, and those of the
// wrong type, for which there is a warning.
type object struct {
	path   string
	fields map[string]json.RawMessage
	warn   *warnings
}

// pathOf returns the path of a field, for warnings.
func (o object) pathOf(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o object) warnf(name, format string, args ...any) { o.warn.add(o.pathOf(name), format, args...) }

// take removes a field and stores it in into. It treats null as missing.
func (o object) take(name string, into any, kind string) bool {
	raw, present := o.fields[name]
	switch {
	case !present:
		return false
	case string(raw) == "null":
		o.warnf(name, "is null")
		delete(o.fields, name)
		return false
	case json.Unmarshal(raw, into) != nil:
		o.warnf(name, "is not %s: kept as is", kind)
		return false
	}
	delete(o.fields, name)
	return true
}

// expect warns about missing fields.
func (o object) expect(names ...string) {
	for _, name := range names {
		if _, present := o.fields[name]; !present {
			o.warnf(name, "is missing")
		}
	}
}

func (o object) text(name string) string {
	var s string
	if o.take(name, &s, "a string") {
		o.checkText(name, s)
	}
	return s
}

func (o object) checkText(name, s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		o.warnf(name, "has control characters: %s", quoted(s))
	}
}

// texts takes an array of strings, or a single string.
func (o object) texts(name string) []string {
	var list []string
	if raw := o.fields[name]; bytes.HasPrefix(raw, []byte(`"`)) {
		return []string{o.text(name)}
	}
	if !o.take(name, &list, "an array of strings") {
		return nil
	}
	for _, s := range list {
		o.checkText(name, s)
	}
	if len(list) == 0 {
		o.warnf(name, "is an empty array")
		return nil
	}
	return list
}

// object takes an object. It is empty if the field is missing.
func (o object) object(name string) object {
	inner := object{path: o.pathOf(name), warn: o.warn}
	o.take(name, &inner.fields, "an object")
	return inner
}

// objects takes an array of objects. Any other type is an error: without policies and
// failures the sessions cannot be counted.
func (o object) objects(name string) ([]object, error) {
	raw, present := o.fields[name]
	if !present {
		return nil, nil
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%w: %s is not an array of objects", ErrNotReport, o.pathOf(name))
	}
	delete(o.fields, name)
	inner := make([]object, len(list))
	for i, fields := range list {
		inner[i] = object{fmt.Sprintf("%s[%d]", o.pathOf(name), i), fields, o.warn}
	}
	return inner, nil
}

// putBack puts the remaining fields of inner back into o. It is for objects whose type
// has no Extra.
func (o object) putBack(name string, inner object) {
	if len(inner.fields) > 0 {
		o.fields[name], _ = json.Marshal(inner.fields) // cannot fail: it was read as JSON
	}
}

// extra returns the remaining fields, formatted as encoding/json does so that a round
// trip does not change them.
func (o object) extra() Extra {
	if len(o.fields) == 0 {
		return nil
	}
	extra := make(Extra, len(o.fields))
	for name, raw := range o.fields {
		extra[name], _ = json.Marshal(raw) // cannot fail: it was read as JSON
	}
	return extra
}

// maxCount bounds a number of sessions, so that the sum over all failures of a report
// does not overflow.
const maxCount = 1e12

// count takes a number of sessions, between 0 and maxCount.
func (o object) count(name string) int64 {
	var number json.Number // accepts a string that contains a number, too
	if !o.take(name, &number, "a number") {
		return 0
	}
	n, err := number.Float64()
	switch {
	case n > maxCount:
		o.warnf(name, "%s is too large: read as %.0f", quoted(number.String()), maxCount)
		return maxCount
	case err != nil || !(n >= 0):
		o.warnf(name, "%s is not a count: read as 0", quoted(number.String()))
		return 0
	case n != float64(int64(n)):
		o.warnf(name, "%s is not a whole number", quoted(number.String()))
	}
	return int64(n)
}

// addr takes an IP address. It treats an empty string as missing.
func (o object) addr(name string) netip.Addr {
	var s string
	raw := o.fields[name]
	if json.Unmarshal(raw, &s) == nil && s != "" {
		if addr, err := netip.ParseAddr(strings.Trim(s, "[] ")); err == nil && addr.Zone() == "" {
			delete(o.fields, name)
			return addr
		}
		o.warnf(name, "%s is not an IP address: kept as is", quoted(s))
		return netip.Addr{}
	}
	o.text(name)
	return netip.Addr{}
}

// timeLayouts are RFC 3339 and the formats that senders use instead: Microsoft's
// date-times had no time zone (seen by mox in 2023).
var timeLayouts = []struct{ layout, warning string }{
	{time.RFC3339, ""},
	{"2006-01-02T15:04:05", "has no time zone: read as UTC"},
	{"2006-01-02 15:04:05Z07:00", "has a space instead of \"T\""},
	{"2006-01-02 15:04:05", "has a space instead of \"T\" and no time zone: read as UTC"},
	{"2006-01-02", "has no time: read as 00:00 UTC"},
}

// time takes a date-time. An implausible one stays in Extra, where it does no harm in
// calculations.
func (o object) time(name string) time.Time {
	var s string
	raw := o.fields[name]
	if json.Unmarshal(raw, &s) != nil || s == "" {
		o.text(name)
		return time.Time{}
	}
	for _, l := range timeLayouts {
		t, err := time.Parse(l.layout, s)
		if err != nil {
			continue
		}
		if t = t.UTC(); !plausible(t) {
			o.warnf(name, "%s is not a plausible date: kept as is", quoted(s))
			return time.Time{}
		}
		if l.warning != "" {
			o.warnf(name, "%s", l.warning)
		}
		delete(o.fields, name)
		return t
	}
	o.warnf(name, "%s is not a date-time: kept as is", quoted(s))
	return time.Time{}
}

func plausible(t time.Time) bool { return t.Year() >= 2000 && t.Year() <= 2099 }
