package proxyprotocol

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/pires/go-proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

var (
	tcp4 = signature + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x19\x9c\x40\x00\x19"
	tcp6 = signature + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" +
		"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x19" + "\x9c\x40\x00\x19"
	mapped = signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x07" +
		strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x19" + "\x9c\x40\x00\x19"
	unix = signature + "\x21\x31\x00\xd8/run/client" + strings.Repeat("\x00", 216-11)
)

// What follows a header is the client's, and stays to be read.
func TestHeaders(t *testing.T) {
	v4 := Header{netip.MustParseAddrPort("192.0.2.7:40000"), netip.MustParseAddrPort("192.0.2.25:25")}
	v6 := Header{netip.MustParseAddrPort("[2001:db8::7]:40000"), netip.MustParseAddrPort("[2001:db8::19]:25")}
	for name, test := range map[string]struct {
		raw  string
		want Header
		err  error
	}{
		"v1":                         {"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n", v4, nil},
		"v1, IPv6":                   {"PROXY TCP6 2001:db8::7 2001:db8::19 40000 25\r\n", v6, nil},
		"v1, IPv4 as IPv6":           {"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.25 40000 25\r\n", v4, nil},
		"v1, unknown":                {"PROXY UNKNOWN\r\n", Header{}, nil},
		"v1, unknown with addresses": {"PROXY UNKNOWN 192.0.2.7 192.0.2.25 40000 25\r\n", Header{}, nil},
		"v2":                         {tcp4, v4, nil},
		"v2, IPv6":                   {tcp6, v6, nil},
		"v2, IPv4 as IPv6":           {mapped, v4, nil},
		"v2, LOCAL":                  {signature + "\x20\x00\x00\x00", Header{}, nil},
		"v2, LOCAL with addresses":   {strings.Replace(tcp4, "\x21\x11", "\x20\x11", 1), Header{}, nil},
		"v2, a Unix socket":          {unix, Header{}, nil},
		"v2, with a TLV":             {strings.Replace(tcp4, "\x00\x0c", "\x00\x11", 1) + "\x04\x00\x02xx", v4, nil},

		"v1, as long as one may be": {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", Header{}, nil},
		"v2, as long as one may be": {strings.Replace(tcp4, "\x00\x0c", "\x10\x00", 1) + "\x04\x0f\xf1" + strings.Repeat("x", 0x0ff1), v4, nil},

		"v1, too long":           {"PROXY UNKNOWN " + strings.Repeat("x", 107), Header{}, ErrNoHeader},
		"v1, LF only":            {"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\n", Header{}, ErrNoHeader},
		"v1, cut":                {"PROXY TCP4 192.0.2.7 192.0", Header{}, ErrNoHeader},
		"v1, wrong family":       {"PROXY TCP4 2001:db8::7 2001:db8::19 40000 25\r\n", Header{}, ErrNoHeader},
		"v1, zone":               {"PROXY TCP6 fe80::1%eth0 2001:db8::19 40000 25\r\n", Header{}, ErrNoHeader},
		"v1, port too high":      {"PROXY TCP4 192.0.2.7 192.0.2.25 65536 25\r\n", Header{}, ErrNoHeader},
		"v1, two spaces":         {"PROXY TCP4  192.0.2.7 192.0.2.25 40000 25\r\n", Header{}, ErrNoHeader},
		"v1, one word too many":  {"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25 x\r\n", Header{}, ErrNoHeader},
		"v2, cut in the fixed":   {signature + "\x21", Header{}, ErrNoHeader},
		"v2, cut in an address":  {tcp4[:len(tcp4)-1], Header{}, ErrNoHeader},
		"v2, too short":          {signature + "\x21\x11\x00\x0b" + strings.Repeat("\x00", 11), Header{}, ErrNoHeader},
		"v2, too long":           {signature + "\x21\x11\x10\x01" + strings.Repeat("\x00", 0x1001), Header{}, ErrLong},
		"v2, without a family":   {signature + "\x21\x00\x00\x00", Header{}, ErrNoHeader},
		"v2, unknown version":    {signature + "\x31\x11\x00\x00", Header{}, ErrNoHeader},
		"v2, unknown command":    {signature + "\x22\x11\x00\x00", Header{}, ErrNoHeader},
		"v2, UDP":                {strings.Replace(tcp4, "\x21\x11", "\x21\x12", 1), Header{}, ErrNotTCP},
		"no header but SMTP":     {"EHLO sender.example\r\n", Header{}, ErrNoHeader},
		"no header but TLS":      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03xxxxxxxx", Header{}, ErrNoHeader},
		"a lower case signature": {"proxy TCP4 192.0.2.7 192.0.2.25 40000 25\r\n", Header{}, ErrNoHeader},
		"nothing":                {"", Header{}, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			const rest = "\x16\x03\x01"
			var conn io.Reader = strings.NewReader(test.raw)
			if test.err == nil {
				conn = strings.NewReader(test.raw + rest)
			}
			conn = iotest.OneByteReader(conn) // however it arrives
			got, err := ReadHeader(conn)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v, want %+v, %v", got, err, test.want, test.err)
			}
			if left, _ := io.ReadAll(conn); test.err == nil && string(left) != rest {
				t.Errorf("%q is left", left)
			}
		})
	}
}

// A balancer that breaks off within a header has sent none, and one that is silent has not closed.
func TestOnlyAConnectionWithoutAByteIsClosed(t *testing.T) {
	for _, sent := range []string{"P", "PROXY TCP4 1", signature[:11], signature, signature + "\x21\x11\x00", tcp4[:20]} {
		if _, err := read(strings.NewReader(sent)); !errors.Is(err, ErrNoHeader) || errors.Is(err, ErrClosed) {
			t.Errorf("%q: %v", sent, err)
		}
	}
	if _, err := read(iotest.ErrReader(os.ErrDeadlineExceeded)); !errors.Is(err, ErrNoHeader) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silent: %v", err)
	}
	if _, err := read(iotest.ErrReader(syscall.ECONNRESET)); !errors.Is(err, ErrClosed) {
		t.Errorf("reset: %v", err)
	}
}

// Section 2.1: a line of version 1 has 107 bytes at most. Of one without an end no more is read.
func TestALineWithoutAnEndIsReadNoFurther(t *testing.T) {
	line := strings.NewReader("PROXY UNKNOWN " + strings.Repeat("x", 1000))
	if h, err := ReadHeader(line); !errors.Is(err, ErrNoHeader) {
		t.Errorf("%+v, %v", h, err)
	}
	if n := line.Size() - int64(line.Len()); n != 107 {
		t.Errorf("%d bytes were read, want 107", n)
	}
}

// Whatever a balancer sends, the client has a whole address or none, and nothing beyond the header
// is read.
func FuzzHeader(f *testing.F) {
	for _, raw := range []string{
		tcp4, tcp6, mapped, unix, signature + "\x20\x00\x00\x00", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN x\r\n",
		"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\nEHLO a\r\n", "PROXY TCP6 2001:db8::7 ::1 40000 25\r\n", "EHLO a\r\n",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn := bytes.NewReader(sent)
		raw, err := read(conn)
		if len(raw) > fixedV2+MaxLength {
			t.Fatalf("%d bytes", len(raw))
		}
		if err != nil {
			return
		}
		if !bytes.Equal(raw, sent[:len(sent)-conn.Len()]) {
			t.Fatalf("read %q of %q, %d are left", raw, sent, conn.Len())
		}
		h, err := parse(raw)
		if h.Client.IsValid() != h.Server.IsValid() || h.Client.IsValid() && (err != nil || h.Client.Addr().Is4In6() || h.Client.Addr().Zone() != "") {
			t.Errorf("%+v, %v", h, err)
		}
		if bytes.HasPrefix(raw, proxyproto.SIGV1) && err == nil && bytes.IndexByte(raw, '\n') != len(raw)-1 {
			t.Errorf("more than a line: %q", raw)
		}
	})
}
