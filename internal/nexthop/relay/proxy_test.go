package relay

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/nexthop"
)

func TestProxyHeader(t *testing.T) {
	addr := netip.MustParseAddrPort
	const (
		v6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		in4 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x19"
	)
	for name, tt := range map[string]struct {
		sender *nexthop.Sender
		want   string
	}{
		"IPv4": {&nexthop.Sender{Addr: addr("192.0.2.7:40001"), Local: addr("198.51.100.25:25")},
			"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x19\x9c\x41\x00\x19"},
		"IPv4 within IPv6": {&nexthop.Sender{Addr: addr("[::ffff:192.0.2.7]:40001"), Local: addr("[::ffff:198.51.100.25]:25")},
			"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x19\x9c\x41\x00\x19"},
		"IPv6": {&nexthop.Sender{Addr: addr("[2001:db8::7]:40001"), Local: addr("[2001:db8::19]:25")},
			"\x21\x21\x00\x24" + v6 + "\x07" + v6 + "\x19" + "\x9c\x41\x00\x19"},
		"mixed": {&nexthop.Sender{Addr: addr("[2001:db8::7]:40001"), Local: addr("198.51.100.25:25")},
			"\x21\x21\x00\x24" + v6 + "\x07" + in4 + "\x9c\x41\x00\x19"},
		"unknown address": {&nexthop.Sender{}, "\x20\x00\x00\x00"},
		"no sender":       {nil, "\x20\x00\x00\x00"},
	} {
		got := string(appendProxyV2(nil, tt.sender))
		if want := "\r\n\r\n\x00\r\nQUIT\n" + tt.want; got != want {
			t.Errorf("%s:\n%x, want\n%x", name, got, want)
		}
	}
}

func TestProxyHeaderGoesFirst(t *testing.T) {
	for url, next := range map[string]string{
		"smtp://mail.test?proxy=v2":  "EHLO out.example.net\r\n",
		"smtps://mail.test?proxy=v2": "\x16\x03\x01", // a TLS record
	} {
		var writes []string
		b := newBackend(t, "some 28\n< 220 ready\nserve")
		b.wire = func(c net.Conn) net.Conn { return writesOf{c, &writes} }
		s := b.hopTCP(url).Open(someSender)
		deliver(s, someText)
		s.Close()
		b.wait()
		if writes[0] != string(appendProxyV2(nil, &someSender)) || !strings.HasPrefix(writes[1], next) {
			t.Errorf("%s: %q", url, writes[:2])
		}
	}
}

// TestUnknownSenderIsNotPlayed: behind LOCAL the server takes us for ourselves.
func TestUnknownSenderIsNotPlayed(t *testing.T) {
	b := newBackend(t, "some 16\n< 220 ready\n> EHLO front.test\n< 250 backend\nserve")
	s := b.hop("smtp://mail.test?proxy=v2").Open(nexthop.Sender{Greeting: "out.example.net"})
	if heard := deliver(s, someText); heard != delivered {
		t.Errorf("sender heard %s", heard)
	}
	s.Close()
	b.wait()
}

func TestProbeIsOurOwn(t *testing.T) {
	b := newBackend(t, "some 16\n< 220 ready\n> EHLO front.test\n< 250-backend\n< 250 XCLIENT NAME ADDR\n> QUIT\n< 221 bye")
	if err := b.hop("smtp://mail.test?proxy=v2&xclient=on").Probe(context.Background()); err != nil {
		t.Error(err)
	}
	b.wait()
}
