package admission

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/tlsrecord"
)

// sends is a connection whose client has sent something, and no more.
type sends struct {
	net.Conn
	io.Reader
}

func (c sends) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// record is a handshake record of n bytes with its header.
func record(n int) []byte {
	return append(tlsrecord.AppendHeader(nil, tlsrecord.Handshake, n-tlsrecord.HeaderLen), make([]byte, n-tlsrecord.HeaderLen)...)
}

// handshake returns a connection on which the records have been read, and the error.
func handshake(h *Handshakes, from string, records ...[]byte) (*TLSConn, error) {
	c := h.Conn(sends{Reader: bytes.NewReader(bytes.Join(records, nil))}, netip.MustParseAddr(from))
	_, err := io.Copy(io.Discard, c)
	return c, err
}

func TestHandshakesHaveABoundedSize(t *testing.T) {
	for name, tt := range map[string]struct {
		records [][]byte
		fits    bool
	}{
		"a usual ClientHello":            {[][]byte{record(517)}, true},
		"one with ML-KEM":                {[][]byte{record(1800), record(600)}, true},
		"two of 16 KiB":                  {[][]byte{record(16 << 10), record(16 << 10)}, true},
		"more than that":                 {[][]byte{record(16 << 10), record(16 << 10), record(6)}, false},
		"only announced":                 {[][]byte{record(16 << 10), record(16 << 10), record(1000)[:5]}, false},
		"after empty records":            {[][]byte{record(5), record(16 << 10), record(16 << 10), record(6)[:5]}, false},
		"in records of one byte":         {slicesOf(record(6), 6000), false},
		"text, which crypto/tls rejects": {[][]byte{[]byte(strings.Repeat("~", 100))}, true},
	} {
		_, err := handshake(NewHandshakes(), "192.0.2.1", tt.records...)
		if fits := err == nil; fits != tt.fits {
			t.Errorf("%s: %v", name, err)
		}
		if !tt.fits && !errors.Is(err, errLargeHandshake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func slicesOf(b []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// Whoever holds large handshakes, usual ones go on, and those of other networks too.
func TestUnfinishedLargeHandshakesAreBoundedTogether(t *testing.T) {
	h := NewHandshakes()
	large := record(16 << 10)[:tlsrecord.HeaderLen]
	hold := func(from func(int) netip.Addr) (held []*TLSConn) {
		for i := range 10_000 {
			if c, err := handshake(h, from(i).String(), large); err == nil {
				held = append(held, c)
			}
		}
		return held
	}
	address := hold(func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") })
	if len(address) != 32 {
		t.Errorf("an address holds %d, want 32", len(address))
	}
	all := hold(func(i int) netip.Addr { return netip.AddrFrom4([4]byte{byte(i), byte(i), byte(i >> 8), 1}) })
	if len(all)+len(address) != 512 {
		t.Errorf("all together hold %d, want 512", len(all)+len(address))
	}
	_, err := handshake(h, "198.51.100.1", large)
	if err == nil || !strings.Contains(err.Error(), "at once (total)") {
		t.Errorf("one more gets %v, want an error that names the total", err)
	}
	if _, err := handshake(h, "198.51.100.1", record(5000)); err == nil {
		t.Error("one of 5,000 bytes does not count as large")
	}
	if _, err := handshake(h, "192.0.2.1", record(4<<10)); err != nil {
		t.Errorf("a usual handshake: %v", err)
	}
	for i, c := range append(all, address...) {
		if i%2 == 0 {
			c.Complete()
		}
		if i%3 == 0 || i%2 == 1 {
			c.Release() // as the connection is closed, some after they were complete
		}
	}
	if again := hold(func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }); len(again) != 32 {
		t.Errorf("when all have ended, an address holds %d, want 32", len(again))
	}
}

func TestRecordsWithoutDataAreBounded(t *testing.T) {
	read := func(data bool) (n int, err error) {
		c := NewHandshakes().Conn(sends{Reader: bytes.NewReader(make([]byte, 1<<20))}, netip.MustParseAddr("192.0.2.1"))
		c.Complete()
		b := make([]byte, 1000)
		for {
			got, err := c.Read(b)
			if n += got; err != nil {
				return n, err
			}
			if data {
				c.Data()
			}
		}
	}
	if n, err := read(false); !errors.Is(err, errNoData) || n < 18_437 || n > 20_500 {
		t.Errorf("without data, %d bytes were read: %v; want a whole record of 18,437 and little more", n, err)
	}
	if n, err := read(true); err != io.EOF || n != 1<<20 {
		t.Errorf("with data, %d bytes were read: %v", n, err)
	}
}
