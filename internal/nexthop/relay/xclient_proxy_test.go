package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

const offersXClient = `
	< 220 ready
	> EHLO front.test
	< 250-backend
	< 250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN
`

func TestXClient(t *testing.T) {
	const (
		sent = `
			> XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=40001 PROTO=ESMTP HELO=out.example.net
			< 220 backend ready for it
			> EHLO out.example.net
			< 250-backend
			< 250 PIPELINING
			serve`
		notSent = "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\n< 250 ok\n> RCPT *\n< 250 ok\n> DATA\n< 354 go on\ntext\n< 250 ok\nserve"
	)
	for _, tt := range []struct{ name, url, script, replies string }{
		{"auto, offered", "smtp://mail.test", offersXClient + sent, delivered},
		{"on, offered", "smtp://mail.test?xclient=on", offersXClient + sent, delivered},
		{"lmtp", "lmtp://mail.test:24", strings.ReplaceAll(offersXClient+sent, "EHLO", "LHLO"), delivered},
		{"auto, not offered", "smtp://mail.test", notSent, delivered},
		{"on, not offered", "smtp://mail.test?xclient=on", "< 220 ready\n> EHLO *\n< 250 backend\nhang", "MAIL 451 4.3.5, RCPT 451 4.3.5"},
		{"off", "smtp://mail.test?xclient=off", offersXClient + "> MAIL *\n< 250 ok\n> RCPT *\n< 250 ok\nserve", "MAIL 250, RCPT 250, DATA 354, end 250"},
		{"for what we do not know", "smtp://mail.test", "< 220 ready\n> EHLO *\n< 250 XCLIENT LOGIN\n> MAIL *\n< 250 ok\n> RCPT *\n< 250 ok\nserve", delivered},
		{"refused", "smtp://mail.test", offersXClient + "> XCLIENT *\n< 550 5.7.0 who are you?\nhang", "MAIL 451 4.3.0, RCPT 451 4.3.0"},
		{"refused for now", "smtp://mail.test", offersXClient + "> XCLIENT *\n< 421 4.7.0 not from there\nclose", "MAIL 421 4.7.0, RCPT 421 4.7.0"},
		{"250 as once", "smtp://mail.test", offersXClient + "> XCLIENT *\n< 250 ok\n> EHLO out.example.net\n< 250 backend\nserve", delivered},
		{"closes", "smtp://mail.test", offersXClient + "> XCLIENT *\nclose", "MAIL 451 4.4.2, RCPT 451 4.4.2"},
		{"greeting refused after it", "smtp://mail.test", offersXClient + "> XCLIENT *\n< 220 ok\n> EHLO *\n< 504 5.5.2 no\n> HELO *\n< 504 5.5.2 no\nhang",
			"MAIL 451 4.3.0, RCPT 451 4.3.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend(t, tt.script)
			s := b.hop(tt.url).Open(someSender)
			checkDeliver(t, s, tt.replies)
			b.end(s)
		})
	}
}

func TestXClientCommand(t *testing.T) {
	const everything = "NAME ADDR PORT PROTO HELO"
	for name, tt := range map[string]struct {
		offered string
		sender  nexthop.Sender
		want    string
	}{
		"IPv4":             {everything, someSender, "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=40001 PROTO=ESMTP HELO=out.example.net"},
		"lower case":       {"addr port", someSender, "XCLIENT ADDR=192.0.2.7 PORT=40001"},
		"nothing we know":  {"LOGIN DESTADDR", someSender, ""},
		"nothing at all":   {"", someSender, ""},
		"unknown sender":   {everything, nexthop.Sender{}, "XCLIENT NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=SMTP HELO=[UNAVAILABLE]"},
		"IPv6":             {"ADDR", nexthop.Sender{Addr: netip.MustParseAddrPort("[2001:db8::7]:25")}, "XCLIENT ADDR=IPV6:2001:db8::7"},
		"IPv6 with zone":   {"ADDR", nexthop.Sender{Addr: netip.MustParseAddrPort("[fe80::7%eth0]:25")}, "XCLIENT ADDR=IPV6:fe80::7"},
		"IPv4 within IPv6": {"ADDR", nexthop.Sender{Addr: netip.MustParseAddrPort("[::ffff:192.0.2.7]:25")}, "XCLIENT ADDR=192.0.2.7"},
		"odd greeting":     {"HELO", nexthop.Sender{Greeting: "a b=c+\x7fä"}, "XCLIENT HELO=a+20b+3Dc+2B+7F+C3+A4"},
		"long greeting":    {"HELO", nexthop.Sender{Greeting: strings.Repeat("x", 256)}, "XCLIENT HELO=[UNAVAILABLE]"},
	} {
		if got := xclientCommand(tt.offered, &tt.sender); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Another Postern as the next hop learns what this one says.
func TestXClientIsReadAsItWasWritten(t *testing.T) {
	for name, sender := range map[string]nexthop.Sender{
		"IPv4":           {Addr: netip.MustParseAddrPort("192.0.2.7:40001"), Greeting: "out.example.net", Extended: true},
		"IPv6":           {Addr: netip.MustParseAddrPort("[2001:db8::7]:25"), Greeting: "[IPv6:2001:db8::7]"},
		"an odd name":    {Addr: netip.MustParseAddrPort("192.0.2.7:25"), Greeting: "a+b=cä"},
		"without either": {},
	} {
		want := smtp.XClient{Named: true, Addr: sender.Addr.Addr(), Port: sender.Addr.Port(), Greeting: sender.Greeting, Extended: sender.Extended}
		var got smtp.XClient
		err := got.Parse(strings.TrimPrefix(xclientCommand(smtp.XClientAttributes, &sender), "XCLIENT "))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// TestInvalidEHLONameIsNotForwarded: it may contain anything.
func TestInvalidEHLONameIsNotForwarded(t *testing.T) {
	for _, name := range []string{"", "a b", "ä.example", "x\r\nMAIL", "a\x7f", strings.Repeat("x", 256)} {
		if isHostname(name) {
			t.Errorf("%q may follow EHLO", name)
		}
	}
	for _, name := range []string{"mx.example", "[192.0.2.1]", "!", "~", strings.Repeat("x", 255)} {
		if !isHostname(name) {
			t.Errorf("%q may not follow EHLO", name)
		}
	}
	sender := someSender
	sender.Greeting = "ä.example"
	b := newBackend(t, offersXClient+"> XCLIENT *\n< 220 ok\n> EHLO front.test\n< 250 backend\nserve")
	s := b.hop("smtp://mail.test").Open(sender)
	checkDeliver(t, s, delivered)
	b.end(s)
}

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

func TestProxyHeaderOfVersion1(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"192.0.2.7:40001", "198.51.100.25:25", "PROXY TCP4 192.0.2.7 198.51.100.25 40001 25\r\n"},
		{"[::ffff:192.0.2.7]:40001", "[::ffff:198.51.100.25]:25", "PROXY TCP4 192.0.2.7 198.51.100.25 40001 25\r\n"},
		{"[2001:db8::7]:40001", "[2001:db8::19]:25", "PROXY TCP6 2001:db8::7 2001:db8::19 40001 25\r\n"},
		{"[fe80::7%eth0]:40001", "[fe80::19%eth0]:25", "PROXY TCP6 fe80::7 fe80::19 40001 25\r\n"},
		{"[2001:db8::7]:40001", "198.51.100.25:25", "PROXY TCP6 2001:db8::7 ::ffff:198.51.100.25 40001 25\r\n"},
	} {
		if got := string(appendProxyV1(nil, netip.MustParseAddrPort(tt.from), netip.MustParseAddrPort(tt.to))); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// A server that reads version 1 only, and refuses UNKNOWN, is examined as from this machine.
func TestProbeDescribesItsOwnConnectionByVersion1(t *testing.T) {
	b := newBackend(t, "> PROXY TCP4 127.0.0.1 127.0.0.1 *\n< 220 ready\n> EHLO front.test\n< 250 backend\n> QUIT\n< 221 bye")
	if err := b.hopTCP("smtp://mail.test?proxy=v1").Probe(context.Background()); err != nil {
		t.Error(err)
	}
	b.wait()
}

func TestProxyHeaderIsSentFirst(t *testing.T) {
	const v1 = "PROXY TCP4 192.0.2.7 198.51.100.25 40001 25\r\n"
	v2 := string(appendProxyV2(nil, &someSender))
	for url, want := range map[string][2]string{
		"smtp://mail.test?proxy=v1":  {v1, "EHLO out.example.net\r\n"},
		"smtp://mail.test?proxy=v2":  {v2, "EHLO out.example.net\r\n"},
		"smtps://mail.test?proxy=v2": {v2, "\x16\x03\x01"}, // a TLS record
	} {
		header, next := want[0], want[1]
		var writes []string
		b := newBackend(t, fmt.Sprintf("some %d\n< 220 ready\nserve", len(header)))
		b.wire = func(c net.Conn) net.Conn { return writesOf{c, &writes} }
		s := b.hopTCP(url).Open(someSender)
		deliver(s, someText)
		b.end(s)
		if writes[0] != header || !strings.HasPrefix(writes[1], next) {
			t.Errorf("%s: %q", url, writes[:2])
		}
	}
}

// TestOurNameIsUsedWithoutSenderAddress: after LOCAL the server does not take us for
// the sender.
func TestOurNameIsUsedWithoutSenderAddress(t *testing.T) {
	b := newBackend(t, "some 16\n< 220 ready\n> EHLO front.test\n< 250 backend\nserve")
	s := b.hop("smtp://mail.test?proxy=v2").Open(nexthop.Sender{Greeting: "out.example.net"})
	checkDeliver(t, s, delivered)
	b.end(s)
}

func TestProbeSendsNoSenderAddress(t *testing.T) {
	b := newBackend(t, "some 16\n< 220 ready\n> EHLO front.test\n< 250-backend\n< 250 XCLIENT NAME ADDR\n> QUIT\n< 221 bye")
	if err := b.hop("smtp://mail.test?proxy=v2&xclient=on").Probe(context.Background()); err != nil {
		t.Error(err)
	}
	b.wait()
}
