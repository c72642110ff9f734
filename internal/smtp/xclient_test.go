package smtp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestXClientSaysWhoTheClientIs(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	for arg, want := range map[string]XClient{
		"ADDR=192.0.2.7 NAME=[UNAVAILABLE]":            {Named: true, Addr: v4}, // as nginx says it
		"addr=IPv6:2001:db8::7 port=40000 proto=smtp":  {Named: true, Addr: v6, Port: 40_000},
		"ADDR=IPV6:::ffff:192.0.2.7":                   {Named: true, Addr: v4},
		"ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]":        {Named: true},
		"HELO=a+20b+C3+a4 PROTO=ESMTP":                 {Greeting: "a bä", Extended: true},
		"HELO=[UNAVAILABLE] PROTO=[UNAVAILABLE]":       {},
		"NAME=[TEMPUNAVAIL] LOGIN=a=b+":                {},
		"  DESTADDR=IPV6:2001:db8::7   DESTPORT=25 ":   {DestAddr: v6, DestPort: 25},
		"HELO=" + strings.Repeat("a", MaxXClientValue): {Greeting: strings.Repeat("a", MaxXClientValue)},
	} {
		var x XClient
		if err := x.Parse(arg); err != nil || x != want {
			t.Errorf("%q: %+v, %v, want %+v", arg, x, err, want)
		}
	}
}

func TestXClientOfSeveralCommands(t *testing.T) {
	var x XClient
	for _, arg := range []string{"PORT=40000 HELO=a", "ADDR=192.0.2.7", "HELO=b"} {
		if err := x.Parse(arg); err != nil {
			t.Fatal(err)
		}
	}
	if want := (XClient{Named: true, Addr: netip.MustParseAddr("192.0.2.7"), Port: 40_000, Greeting: "b"}); x != want {
		t.Errorf("%+v, want %+v", x, want)
	}
}

func TestBadXClient(t *testing.T) {
	for _, arg := range []string{
		"", "ADDR", "ADDR=", "ADDR=192.0.2", "ADDR=192.0.2.7:25", "ADDR=2001:db8::7", "ADDR=IPV6:192.0.2.7", "ADDR=IPV6:",
		"ADDR=IPV6:fe80::1%eth0", "ADDR=mail.example.org", "PORT=65536", "PORT=-1", "PORT=x", "DESTADDR=x", "DESTPORT=x",
		"PROTO=LMTP", "HELO=a+0D+0Ab", "HELO=+FF", "HELO=a+2", "HELO=a+", "HELO=a+GG", "HELO=a=b", "HELO=ä",
		"HELO=" + strings.Repeat("a", MaxXClientValue+1), "TTL=5", "ADDR=192.0.2.7 SESSION=x", "=",
	} {
		var x XClient
		var refusal *Refusal
		if err := x.Parse(arg); !errors.As(err, &refusal) || refusal.Reply.Code != 501 {
			t.Errorf("%q: %+v, %v", arg, x, err)
		}
	}
}

// Whatever a front-end says, the client has an address as an accepted connection has one, and a
// greeting that can be logged.
func FuzzXClient(f *testing.F) {
	for _, arg := range []string{
		"ADDR=192.0.2.7 NAME=[UNAVAILABLE]", "ADDR=IPV6:2001:db8::7 PORT=25", "HELO=a+20b PROTO=ESMTP",
		"DESTADDR=192.0.2.25 DESTPORT=25 LOGIN=x", "ADDR=IPV6:::ffff:192.0.2.7", "HELO=+0D", "ADDR=[UNAVAILABLE]",
	} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		var x XClient
		if err := x.Parse(arg); err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("%q: %v", arg, err)
			}
			return
		}
		for _, addr := range []netip.Addr{x.Addr, x.DestAddr} {
			if addr.Is4In6() || addr.Zone() != "" {
				t.Errorf("%q: %v", arg, addr)
			}
		}
		if x.Addr.IsValid() && !x.Named || len(x.Greeting) > MaxXClientValue || checkCharacters(x.Greeting) != nil {
			t.Errorf("%q: %+v", arg, x)
		}
		if decoded, ok := decodeXtext(string(AppendXtext(nil, arg))); !ok || decoded != arg {
			t.Errorf("%q as xtext and back is %q, %v", arg, decoded, ok)
		}
	})
}
