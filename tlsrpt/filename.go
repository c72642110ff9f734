package tlsrpt

import (
	"strconv"
	"strings"
	"time"
)

// A FileName is what the name of a report's file tells, RFC 8460, Section 5.3:
// submitter!domain!start!end!id.json.gz. ID is empty where the name has none.
type FileName struct {
	Submitter, Domain string
	Start, End        time.Time // in UTC
	ID                string
}

// ParseFileName reads a name with or without a folder before it and .json or .json.gz behind
// it. It tells whether the name has the RFC's form.
func ParseFileName(name string) (f FileName, ok bool) {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name, _ = cutSuffixFold(name, ".gz")
	name, _ = cutSuffixFold(name, ".json")
	parts := strings.Split(name, "!")
	if len(parts) < 4 || len(parts) > 5 {
		return FileName{}, false
	}
	f.Submitter, f.Domain = parts[0], parts[1]
	if len(parts) == 5 {
		f.ID = parts[4]
	}
	var started, ended bool
	f.Start, started = parseUnix(parts[2])
	f.End, ended = parseUnix(parts[3])
	if !started || !ended || f.Submitter == "" || f.Domain == "" {
		return FileName{}, false
	}
	return f, true
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if start := len(s) - len(suffix); start >= 0 && strings.EqualFold(s[start:], suffix) {
		return s[:start], true
	}
	return s, false
}

func parseUnix(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	t := time.Unix(n, 0).UTC()
	return t, err == nil && plausible(t)
}
