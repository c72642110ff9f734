package probe

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	addr := netip.MustParseAddr
	for text, want := range map[string]target{
		"example.org":         {name: "example.org"},
		"Example.ORG.":        {name: "example.org"},
		"mx.example.org:2525": {name: "mx.example.org", port: 2525},
		"bücher.example":      {name: "xn--bcher-kva.example"},
		"192.0.2.7":           {addr: addr("192.0.2.7")},
		"192.0.2.7:26":        {addr: addr("192.0.2.7"), port: 26},
		"::ffff:192.0.2.7":    {addr: addr("192.0.2.7")},
		"2001:db8::7":         {addr: addr("2001:db8::7")},
		"[2001:db8::7]":       {addr: addr("2001:db8::7")},
		"[2001:db8::7]:587":   {addr: addr("2001:db8::7"), port: 587},
	} {
		got, err := parseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestTargetsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", ".", "user@example.org", "https://example.org", "example.org:0", "example.org:70000",
		"example.org:smtp", "two words", "a\x1b[2J.example", strings.Repeat("long.", 60) + "example",
	} {
		got, err := parseTarget(text)
		if !errors.Is(err, ErrTarget) {
			t.Errorf("%q: %+v, %v, want ErrTarget", text, got, err)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: the error has a control character", text)
		}
	}
}
