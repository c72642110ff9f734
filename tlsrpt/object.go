package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// An object is one JSON object while it is read. Its methods take fields out of it; what is
// left in the end is Extra. A field of a wrong kind stays, with a warning.
type object struct {
	path   string
	fields map[string]json.RawMessage
	warn   *warnings
}

func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o object) warnf(name, format string, args ...any) { o.warn.add(o.at(name), format, args...) }

// take reads a field into a value of its kind; a null is taken for none.
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
		o.warnf(name, "is not %s: kept as it is", kind)
		return false
	}
	delete(o.fields, name)
	return true
}

// need warns when a field is missing without another word about it.
func (o object) need(names ...string) {
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
		o.warnf(name, "has control characters: %.80q", s)
	}
}

// texts takes an array of strings, or one string.
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

// object takes an object, an empty one if there is none.
func (o object) object(name string) object {
	inner := object{path: o.at(name), warn: o.warn}
	o.take(name, &inner.fields, "an object")
	return inner
}

// objects takes an array of objects. Unlike the rest it insists: a report whose policies or
// failures are something else cannot be counted.
func (o object) objects(name string) ([]object, error) {
	raw := o.fields[name]
	if raw == nil || string(raw) == "null" {
		delete(o.fields, name)
		return nil, nil
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%w: %s is not an array of objects", ErrNotReport, o.at(name))
	}
	delete(o.fields, name)
	inner := make([]object, len(list))
	for i, fields := range list {
		inner[i] = object{fmt.Sprintf("%s[%d]", o.at(name), i), fields, o.warn}
	}
	return inner, nil
}

// putBack leaves in o what nobody took out of inner, an object that has no Extra of its own.
func (o object) putBack(name string, inner object) {
	if len(inner.fields) > 0 {
		o.fields[name], _ = json.Marshal(inner.fields) // cannot fail: it was read as JSON
	}
}

// rest gives what nobody took, written as encoding/json does, so that it stays the same
// when it is read again.
func (o object) rest() Extra {
	if len(o.fields) == 0 {
		return nil
	}
	extra := make(Extra, len(o.fields))
	for name, raw := range o.fields {
		extra[name], _ = json.Marshal(raw) // cannot fail: it was read as JSON
	}
	return extra
}

// maxCount is more sessions than anyone has in a day, and so few that those of all failures
// of a report can be added up.
const maxCount = 1e12

// count takes a number of sessions. What is not one is taken for none or for the most.
func (o object) count(name string) int64 {
	var written json.Number // takes a string with a number in it too
	if !o.take(name, &written, "a number") {
		return 0
	}
	n, err := strconv.ParseFloat(written.String(), 64)
	switch {
	case n > maxCount:
		o.warnf(name, "%.40q is more than can be: taken for %.0f", written, maxCount)
		return maxCount
	case err != nil || !(n >= 0):
		o.warnf(name, "%.40q is no count: taken for 0", written)
		return 0
	case n != float64(int64(n)):
		o.warnf(name, "%.40q is no whole number", written)
	}
	return int64(n)
}

// addr takes an IP address; a field that is empty is as good as missing.
func (o object) addr(name string) netip.Addr {
	var s string
	raw := o.fields[name]
	if json.Unmarshal(raw, &s) == nil && s != "" {
		if addr, err := netip.ParseAddr(strings.Trim(s, "[] ")); err == nil && addr.Zone() == "" {
			delete(o.fields, name)
			return addr
		}
		o.warnf(name, "%.80q is no IP address: kept as it is", s)
		return netip.Addr{}
	}
	o.text(name)
	return netip.Addr{}
}

// layouts are RFC 3339 and what is written instead: Microsoft's date-times had no zone
// (seen by mox in 2023).
var layouts = []struct{ layout, oddity string }{
	{time.RFC3339, ""},
	{"2006-01-02T15:04:05", "has no time zone: taken for UTC"},
	{"2006-01-02 15:04:05Z07:00", "has a space for the T"},
	{"2006-01-02 15:04:05", "has a space for the T and no time zone: taken for UTC"},
	{"2006-01-02", "has no time: taken for 0:00 UTC"},
}

// time takes a date-time. One that is far from any report's would only do harm in
// arithmetic, and stays in Extra.
func (o object) time(name string) time.Time {
	var s string
	raw := o.fields[name]
	if json.Unmarshal(raw, &s) != nil || s == "" {
		o.text(name)
		return time.Time{}
	}
	for _, l := range layouts {
		t, err := time.Parse(l.layout, s)
		if err != nil {
			continue
		}
		if t = t.UTC(); !plausible(t) {
			o.warnf(name, "%.40q is no date of a report: kept as it is", s)
			return time.Time{}
		}
		if l.oddity != "" {
			o.warnf(name, "%s", l.oddity)
		}
		delete(o.fields, name)
		return t
	}
	o.warnf(name, "%.40q is no date-time: kept as it is", s)
	return time.Time{}
}

func plausible(t time.Time) bool { return t.Year() >= 2000 && t.Year() <= 2099 }
