package handshake_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "postern/handshake"
)

// FuzzParse: what Parse reads can be written and read again, and is the same.
func FuzzParse(f *testing.F) {
	for _, sample := range samples {
		data, err := json.Marshal(sample())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":1,"start":"2024-10-24T23:59:60+02:00","client":"[fe80::1%eth0]:25"}`))
	f.Add([]byte(`{"version":1,"messages":[{"at_us":-0.001,"type":"NotTLS","missing":1}],"not_tls":"\\x00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := Parse(data)
		if err != nil {
			return
		}
		sameAgain(t, read)
		checkDiagram(t, read)
	})
}

// FuzzTranscript: any transcript within its bounds is read back exactly as written, and
// its diagram keeps to the columns.
func FuzzTranscript(f *testing.F) {
	f.Add([]byte{}, "mx.example.org", "EOF", "smtp")
	f.Add([]byte("\x01\x01\x0d\x02\x0d\x00\x01\x01\x02\x05\x01\x03\x01\x08\x01\x03\x01"), "\x1b[2J", "\u202e\xff\n", "")
	f.Add([]byte(strings.Repeat("\x02\x0d\xff\xff\xff\x07", 80)), strings.Repeat("長", 300), strings.Repeat("x", 999), `"\`)
	f.Fuzz(func(t *testing.T, data []byte, name, err, protocol string) {
		random := source(data)
		made := random.transcript(name, err, protocol)
		sameAgain(t, made)
		checkDiagram(t, made)
	})
}

func sameAgain(t *testing.T, want *Transcript) {
	t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatalf("%v: %+v", err, want)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v\n%s", got, want, data)
	}
}

// checkDiagram checks that no bytes from the peer reach the terminal, that no line is too
// wide, and that there are not many more lines than messages.
func checkDiagram(t *testing.T, transcript *Transcript) {
	t.Helper()
	const signs = "─┄═│├┤╞╡▶◀╳┌└┐┘✗✓←…"
	for allowed, diagram := range map[string]string{signs: transcript.Diagram(DiagramOptions{}), "": transcript.Diagram(DiagramOptions{ASCII: true})} {
		if !strings.HasSuffix(diagram, "\n") {
			t.Fatalf("last line does not end:\n%s", diagram)
		}
		if n := strings.Count(diagram, "\n"); n > MaxMessages+40 {
			t.Fatalf("%d lines:\n%s", n, diagram)
		}
		for line := range strings.Lines(diagram) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Fatalf("%d columns: %q", n, line)
			}
			for _, r := range line {
				if (r < ' ' || r > '~') && !strings.ContainsRune(allowed, r) {
					t.Fatalf("%q in %q", r, line)
				}
			}
		}
	}
}

// A source makes transcripts from random bytes, and from zeros when there are none left.
type source []byte

func (s *source) byte() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

func (s *source) bool() bool        { return s.byte()&1 != 0 }
func (s *source) below(n byte) byte { return s.byte() % n }
func (s *source) uint16() uint16    { return uint16(s.byte())<<8 | uint16(s.byte()) }

func (s *source) int63() (n int64) {
	for range s.below(9) {
		n = n<<8 | int64(s.byte())
	}
	return n & (1<<63 - 1)
}

func list[N ~uint16](s *source) []N {
	if s.bool() {
		return nil
	}
	list := make([]N, s.below(5))
	for i := range list {
		list[i] = N(s.uint16())
	}
	return list
}

func (s *source) address() netip.AddrPort {
	switch s.below(3) {
	case 0:
		return netip.AddrPort{}
	case 1:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, s.byte()}), s.uint16())
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: s.byte()}), s.uint16())
}

func (s *source) transcript(name, err, protocol string) *Transcript {
	t := &Transcript{
		View:        View(s.below(3)),
		Start:       time.Unix(0, s.int63()).UTC(),
		Client:      s.address(),
		Server:      s.address(),
		ClientHello: s.hello(name, protocol),
		ServerHello: s.choice(),
		Omitted:     int(s.int63()),
		Completed:   s.bool(),
		Use:         Use(s.below(3)),
		End:         End{EndKind(s.below(6)), Side(s.below(3)), int(s.int63()), time.Duration(s.int63()), err},

		Acknowledged: Acknowledged(s.below(4)),
		Gaps:         Gaps{Side(s.below(3)), s.bool(), int(s.int63()), int(s.int63()), int(s.int63())},
	}
	if s.bool() {
		t.NotTLS = []byte(name)[:min(len(name), 16)]
	}
	for range s.below(MaxMessages + 1) {
		t.Messages = append(t.Messages, s.message())
	}
	return t
}

func (s *source) hello(name, protocol string) *ClientHello {
	if s.bool() {
		return nil
	}
	return &ClientHello{
		Size: int(s.int63()), Version: Version(s.uint16()), Versions: list[Version](s), Suites: list[Suite](s), Extensions: list[Extension](s),
		Groups: list[Group](s), KeyShares: list[Group](s), Signatures: list[SignatureScheme](s), PSKModes: []PSKMode{PSKMode(s.byte()), PSKMode(s.byte())},
		ALPN: []string{protocol, name}, ServerName: name, SessionID: s.bool(), TicketTLS12: s.bool(), PSK: s.bool(),
		JA4: protocol,
	}
}

func (s *source) choice() *ServerHello {
	if s.bool() {
		return nil
	}
	return &ServerHello{Version(s.uint16()), Suite(s.uint16()), Group(s.uint16()), s.bool(), s.bool()}
}

func (s *source) message() Message {
	m := Message{
		From: Side(s.below(3)), Type: MessageType(s.below(byte(TypeNotTLS) + 1)), Size: int(s.int63()), Missing: int(s.int63()),
		At: time.Duration(s.int63()), Write: int(s.below(4)), Encrypted: s.bool(), Inferred: s.bool(),
	}
	if s.bool() {
		m.Alert = &Alert{s.bool(), AlertDescription(s.byte())}
	}
	if s.bool() {
		m.Ticket = &Ticket{time.Duration(s.int63()), int(s.int63())}
	}
	return m
}
