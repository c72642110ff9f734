package tlsrpt

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

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
