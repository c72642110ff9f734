package mtasts_test

import (
	"errors"
	"testing"

	"postern/internal/txtrecord"
	. "postern/mtasts"
)

// FuzzParseRecord: what is read can be written, and is read back the same.
func FuzzParseRecord(f *testing.F) {
	for _, text := range acceptedRecords {
		f.Add(text)
	}
	for _, r := range rejectedRecords {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		switch {
		case err != nil && (r != nil || !errors.Is(err, ErrSyntax)):
			t.Fatalf("%+v, %v", r, err)
		case err == nil && len(r.String()) <= txtrecord.MaxSize:
			sameRecord(t, r)
		}
	})
}

// FuzzParsePolicy: what is read can be written, and is read back the same.
func FuzzParsePolicy(f *testing.F) {
	for _, text := range acceptedPolicies {
		f.Add([]byte(text))
	}
	for _, r := range append(rejectedPolicies, warnedPolicies...) {
		f.Add([]byte(r.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy(data)
		switch {
		case err != nil && (p != nil || !errors.Is(err, ErrSyntax)):
			t.Fatalf("%+v, %v", p, err)
		case err == nil && p.Warnings == nil && len(data) < MaxPolicySize/2: // written, a policy may be longer
			samePolicy(t, p)
		}
	})
}

// FuzzMatches: no pattern matches what is no name, nor a name and its parent at once.
func FuzzMatches(f *testing.F) {
	f.Add("*.example.com", "mx.example.com")
	f.Add("mx.example.com", "MX.example.com.")
	f.Add("*.xn--bcher-kva.example", "mx.bücher.example")
	f.Fuzz(func(t *testing.T, pattern, host string) {
		if matches(pattern, host) && (matches(pattern, "x."+host) || host == "" || host == ".") {
			t.Fatalf("%q matches %q, and a name below it", pattern, host)
		}
	})
}
