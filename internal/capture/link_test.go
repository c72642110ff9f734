package capture_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// Link types whose header is more than a prefix, or not known to the library.
func TestWrappedLinkTypes(t *testing.T) {
	attribute := func(kind uint16, content []byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, uint16(4+len(content)))
		b = append(binary.LittleEndian.AppendUint16(b, kind), content...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	pktap := func(link uint32, packet []byte) []byte {
		header := binary.LittleEndian.AppendUint32(nil, 108)
		header = binary.LittleEndian.AppendUint32(header, 1)
		header = binary.LittleEndian.AppendUint32(header, link)
		return slices.Concat(header, make([]byte, 108-len(header)), packet)
	}
	for name, tt := range map[string]struct {
		link layers.LinkType
		wrap func(frame []byte) []byte // of a frame on Ethernet
	}{
		"PPP":            {layers.LinkTypePPP, func(frame []byte) []byte { return append([]byte{0xff, 3, 0, 0x21}, frame[14:]...) }},
		"PPP, shortened": {layers.LinkTypePPP, func(frame []byte) []byte { return append([]byte{0x21}, frame[14:]...) }},
		"NFLOG": {239, func(frame []byte) []byte {
			return slices.Concat([]byte{2, 0, 0, 5}, attribute(1, []byte{8, 0, 3, 0}), attribute(10, []byte("x\x00")), attribute(9, frame[14:]))
		}},
		"PKTAP, Ethernet": {258, func(frame []byte) []byte { return pktap(1, frame) }},
		"PKTAP, loopback": {149, func(frame []byte) []byte { return pktap(0, append([]byte{2, 0, 0, 0}, frame[14:]...)) }},
	} {
		t.Run(name, func(t *testing.T) {
			var frames [][]byte
			for _, p := range segments(strict.turns(t), 1460, 1000, 2000) {
				frames = append(frames, tt.wrap(ethernet.frame(t, p)))
			}
			strict.check(t, read(t, pcap(t, tt.link, frames), nil))
			for _, frame := range frames { // malformed ones are counted
				for cut := range 120 {
					readAll(bytes.NewReader(pcap(t, tt.link, [][]byte{frame[:min(cut, len(frame))]})), nil)
				}
			}
		})
	}
	for _, nested := range [][]byte{pktap(258, pktap(258, nil)), pktap(1<<20, nil), {255, 255, 255, 255, 0, 0, 0, 0, 1, 0, 0, 0}} {
		if found, _ := readAll(bytes.NewReader(pcap(t, 258, [][]byte{nested})), nil); len(found) != 0 {
			t.Errorf("read %+v", found)
		}
	}
}

func TestUnsupportedLinkTypeIsAnError(t *testing.T) {
	for link, name := range map[layers.LinkType]string{layers.LinkTypeIEEE802_11: "802.11", 999: "link type 999"} {
		_, err := readAll(bytes.NewReader(pcap(t, link, [][]byte{{1, 2, 3}})), nil)
		if err == nil || !strings.Contains(err.Error(), "unsupported link type (1 "+name+")") {
			t.Errorf("got %v", err)
		}
	}
}
