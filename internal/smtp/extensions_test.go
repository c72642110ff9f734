package smtp

import (
	"maps"
	"testing"
)

func TestParseCapabilities(t *testing.T) {
	reply := Reply{Code: 250, Lines: []string{
		"SIZE.example.org", // the name, not a keyword
		"PIPELINING",
		"size 10485760",
		"XCLIENT NAME ADDR",
		"SIZE 5", // given twice
		"",
		"  8bitmime ",
		"AUTH=LOGIN",
	}}
	want := Capabilities{
		"PIPELINING": "", "SIZE": "10485760", "XCLIENT": "NAME ADDR", "8BITMIME": "", "AUTH=LOGIN": "",
	}
	if got := ParseCapabilities(reply); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ParseCapabilities(Reply{}); len(got) != 0 {
		t.Errorf("no reply offers %v", got)
	}
}

func TestCapabilitiesExtensions(t *testing.T) {
	for _, tt := range []struct {
		offered Capabilities
		want    Extensions
	}{
		{nil, Extensions{}},
		{Capabilities{"8BITMIME": "", "SMTPUTF8": "", "DSN": "", "REQUIRETLS": "", "SIZE": "1000"},
			Extensions{EightBitMIME: true, SMTPUTF8: true, DSN: true, RequireTLS: true, Size: 1000}},
		{Capabilities{"SIZE": ""}, Extensions{}},
		{Capabilities{"SIZE": "-1"}, Extensions{}},
		{Capabilities{"SIZE": "99999999999999999999"}, Extensions{}},
		{Capabilities{"SIZE": "ten"}, Extensions{}},
	} {
		if got := tt.offered.Extensions(); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.offered, got, tt.want)
		}
	}
}
