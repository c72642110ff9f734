package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"postern/handshake"
	"postern/internal/capture"
)

func TestLinkTypes(t *testing.T) {
	packets := segments(strict.turns(t), 1460, 1000, 2000)
	for name, w := range map[string]wire{
		"Ethernet":          {link: layers.LinkTypeEthernet},
		"Ethernet, IPv6":    {link: layers.LinkTypeEthernet, v6: true},
		"Ethernet, VLAN":    {link: layers.LinkTypeEthernet, vlan: true},
		"Linux cooked":      {link: layers.LinkTypeLinuxSLL},
		"Linux cooked 2":    {link: layers.LinkTypeLinuxSLL2, v6: true},
		"null":              {link: layers.LinkTypeNull},
		"null, IPv6":        {link: layers.LinkTypeNull, v6: true},
		"loopback":          {link: layers.LinkTypeLoop},
		"raw":               {link: layers.LinkTypeRaw},
		"raw, IPv6":         {link: layers.LinkTypeRaw, v6: true},
		"raw of OpenBSD":    {link: 14, v6: true},
		"IPv4":              {link: layers.LinkTypeIPv4},
		"IPv6":              {link: layers.LinkTypeIPv6, v6: true},
		"another port":      {link: layers.LinkTypeEthernet, server: 2525},
		"the ports swapped": {link: layers.LinkTypeEthernet, port: 25, server: 50000},
	} {
		t.Run(name, func(t *testing.T) { strict.check(t, read(t, w.pcap(t, packets), nil)) })
	}
}

// A pcapng file can have interfaces with different link types.
func TestPcapng(t *testing.T) {
	packets := segments(strict.turns(t), 1460, 1000, 2000)
	cooked := wire{link: layers.LinkTypeLinuxSLL2}
	var b bytes.Buffer
	file, err := pcapgo.NewNgWriter(&b, ethernet.link)
	if err != nil {
		t.Fatal(err)
	}
	second, err := file.AddInterface(pcapgo.NgInterface{Name: "any", LinkType: cooked.link})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		frame, index := ethernet.frame(t, p), 0
		if i%2 == 1 {
			frame, index = cooked.frame(t, p), second
		}
		info := gopacket.CaptureInfo{Timestamp: morning, CaptureLength: len(frame), Length: len(frame), InterfaceIndex: index}
		if err := file.WritePacket(info, frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Flush(); err != nil {
		t.Fatal(err)
	}
	strict.check(t, read(t, b.Bytes(), nil))
	strict.check(t, read(t, zip(t, b.Bytes()), nil))
}

func TestGzipIsUnpacked(t *testing.T) {
	strict.check(t, read(t, zip(t, strict.bytes(t)), nil))
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

func TestIsCapture(t *testing.T) {
	for head, want := range map[string]bool{
		"\xd4\xc3\xb2\xa1": true, "\xa1\xb2\xc3\xd4": true, "\x4d\x3c\xb2\xa1": true, "\x0a\x0d\x0d\x0a": true, "\x1f\x8b\x08\x00": true,
		"{\"ve": false, "": false, "\xd4\xc3": false, "\n\n\n\n": false,
	} {
		if got := capture.IsCapture([]byte(head)); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}

func TestOtherFilesAreRejected(t *testing.T) {
	for _, text := range []string{"", "x", "{\"version\": 1}", "\x1f\x8b\x08\x00"} {
		if _, err := capture.NewReader(strings.NewReader(text), nil); err == nil {
			t.Errorf("%q is accepted as a capture", text)
		}
	}
	if _, err := capture.NewReader(strings.NewReader("hello"), nil); !errors.Is(err, capture.ErrFormat) {
		t.Errorf("got %v, want ErrFormat", err)
	}
	broken := errors.New("broken disk")
	if _, err := capture.NewReader(iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// A killed tcpdump leaves a file that ends within a packet: the packets before it are read.
func TestFileCutAtEveryByte(t *testing.T) {
	file := strict.bytes(t)
	const header = 24
	complete := map[int]bool{header: true}
	for at := header; at < len(file); {
		at += 16 + int(binary.LittleEndian.Uint32(file[at+8:]))
		complete[at] = true
	}
	for n := header; n <= len(file); n++ {
		found, err := readAll(bytes.NewReader(file[:n]), nil)
		if complete[n] && err != nil || !complete[n] && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if n == len(file)-1 {
			strict.check(t, found)
		}
	}
}

// Lengths and counts in a file are not trusted.
func TestHostileFiles(t *testing.T) {
	endless := slices.Clone(strict.bytes(t)[:24])
	copy(endless[16:], []byte{0xff, 0xff, 0xff, 0xff})
	endless = append(endless, make([]byte, 8)...)
	endless = append(endless, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f)
	section := []byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00")
	interfaceBlock := []byte("\x01\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00")
	for name, file := range map[string]io.Reader{
		"a packet of 2 GiB":      io.MultiReader(bytes.NewReader(endless), zeros{}),
		"nothing but interfaces": io.MultiReader(bytes.NewReader(section), &repeated{of: interfaceBlock}),
		"a block without end":    io.MultiReader(bytes.NewReader(section), strings.NewReader("\x04\x00\x00\x00\xff\xff\xff\x7f"), zeros{}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readAll(file, nil); err == nil {
				t.Error("no error")
			}
		})
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// repeated is an endless reader.
type repeated struct {
	of []byte
	at int
}

func (r *repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.of[r.at]
		r.at = (r.at + 1) % len(r.of)
	}
	return len(b), nil
}

// Packets without a TCP segment are counted by type, and the others are read.
func TestSkippedPacketsAreCounted(t *testing.T) {
	broken := ethernet.frame(t, packet{from: 1, seq: 1, data: []byte("x")})
	fragment := ethernet.frame(t, packet{from: 1, seq: 1, data: []byte("x")})
	fragment[14+6] |= 0x20 // more fragments (RFC 791, Section 3.1)
	arp := append(make([]byte, 12), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frames := [][]byte{broken[:40], fragment, arp, {1}}
	for _, p := range segments(strict.turns(t), 1460, 1000, 2000) {
		frames = append(frames, ethernet.frame(t, p))
	}
	r, err := capture.NewReader(bytes.NewReader(pcap(t, ethernet.link, frames)), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	strict.check(t, []*capture.Conversation{c})
	if got, want := r.Stats(), (capture.Stats{Packets: len(frames), NotTCP: capture.Counts{"ARP": 1}, Fragments: 1, Malformed: 2, Connections: 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A port scan does not fill the memory; evicted connections are counted, and those that had
// ended are none.
func TestOpenConnectionsAreBounded(t *testing.T) {
	for name, evicted := range map[string]int{"open": 10_000 - 4096, "reset": 0} {
		t.Run(name, func(t *testing.T) { connections(t, name == "reset", evicted) })
	}
}

// connections reads 10,000 connections, which the server resets or leaves open.
func connections(t *testing.T, reset bool, evicted int) {
	var frames [][]byte
	for port := range 10_000 {
		w := ethernet
		w.port = layers.TCPPort(1024 + port)
		frames = append(frames, w.frame(t, packet{from: handshake.Client, seq: 1, syn: true}))
		if reset {
			frames = append(frames, w.frame(t, packet{from: handshake.Server, seq: 1, ack: 2, rst: true}))
		}
	}
	r, err := capture.NewReader(bytes.NewReader(pcap(t, ethernet.link, frames)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := r.Next(); err != io.EOF {
		t.Errorf("got %+v, %v", c, err)
	}
	if got, want := r.Stats(), (capture.Stats{Packets: len(frames), Connections: 10_000, Evicted: evicted}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
