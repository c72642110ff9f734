package smtp

import (
	"postern/internal/safetext"
	"strings"
)

// Bounds of RFC 3461, Sections 4.2 and 4.4.
const (
	maxEnvelopeID = 100
	maxOriginal   = 500
)

// maxShown bounds what a reply shows of a parameter's name, in bytes.
const maxShown = 40

// eachParam calls set for each ESMTP parameter, its key in upper case. A key
// given twice is refused.
func eachParam(params string, set func(key, value string) error) error {
	seen := make(map[string]bool)
	for param := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(param, "=")
		key = strings.ToUpper(key)
		if seen[key] {
			return refuse(501, "5.5.4", "parameter "+safetext.Reply(key, maxShown)+" given twice")
		}
		seen[key] = true
		if err := set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func unknownParam(key string) error {
	return refuse(555, "5.5.4", "parameter "+safetext.Reply(key, maxShown)+" is not offered here")
}

func badParam(key string) error {
	return refuse(501, "5.5.4", "bad value of parameter "+safetext.Reply(key, maxShown))
}

func noValue(key, value string) error {
	if value != "" {
		return badParam(key)
	}
	return nil
}

// checkXtext refuses what is not printable ASCII or is longer than limit. The
// value stays encoded, since it is only passed on (RFC 3461, Section 4).
func checkXtext(key, value string, limit int) error {
	if value == "" || len(value) > limit {
		return badParam(key)
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return badParam(key)
		}
	}
	return nil
}

// checkNotify takes NEVER alone or a list of the others, each once
// (RFC 3461, Section 4.1).
func checkNotify(value string) error {
	if value == "NEVER" {
		return nil
	}
	seen := make(map[string]bool)
	for word := range strings.SplitSeq(value, ",") {
		if seen[word] || word != "SUCCESS" && word != "FAILURE" && word != "DELAY" {
			return badParam("NOTIFY")
		}
		seen[word] = true
	}
	return nil
}
