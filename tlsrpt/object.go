package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
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
