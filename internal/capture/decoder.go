package capture

import (
	"errors"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A segment is a TCP segment (RFC 9293, Section 3.1) of one packet.
type segment struct {
	from, to netip.AddrPort
	at       time.Time
	number   int // of its packet in the file, from 1
	seq, ack uint32
	syn, fin bool
	rst      bool
	acks     bool // ack counts
	data     []byte
	cut      int // bytes at the end of data that were sent and not captured
}

// first is the sequence number of the segment's first byte of data: SYN has one of its own.
func (s *segment) first() uint32 {
	if s.syn {
		return s.seq + 1
	}
	return s.seq
}

// past is the sequence number after the segment's last byte of data.
func (s *segment) past() uint32 { return s.first() + uint32(len(s.data)+s.cut) }

// after is how far sequence number a is after b; negative: before (RFC 9293, Section 3.4).
func after(a, b uint32) int { return int(int32(a - b)) }

var (
	errLink     = errors.New("a link type that is not read")
	errOther    = errors.New("not TCP over IP")
	errFragment = errors.New("a fragment of an IP packet")
	errBroken   = errors.New("headers that do not parse, or are cut")
)

// firstLayers are the link types that are read: Ethernet, Linux's cooked ones,
// loopback and null of the BSDs, and IP without any, under all its numbers.
var firstLayers = map[layers.LinkType]gopacket.LayerType{
	layers.LinkTypeEthernet:  layers.LayerTypeEthernet,
	layers.LinkTypeLinuxSLL:  layers.LayerTypeLinuxSLL,
	layers.LinkTypeLinuxSLL2: layers.LayerTypeLinuxSLL2,
	layers.LinkTypeNull:      layers.LayerTypeLoopback,
	layers.LinkTypeLoop:      layers.LayerTypeLoopback,
	layers.LinkTypeIPv4:      layers.LayerTypeIPv4,
	layers.LinkTypeIPv6:      layers.LayerTypeIPv6,
}

// A decoder finds the TCP segment in a frame. Its layers are used again for each.
type decoder struct {
	parsers map[gopacket.LayerType]*gopacket.DecodingLayerParser
	found   []gopacket.LayerType
	decoded []gopacket.DecodingLayer
	ip4     layers.IPv4
	ip6     layers.IPv6
	tcp     layers.TCP
}

func newDecoder() *decoder {
	d := &decoder{parsers: make(map[gopacket.LayerType]*gopacket.DecodingLayerParser)}
	d.decoded = []gopacket.DecodingLayer{
		new(layers.Ethernet), new(layers.Dot1Q), new(layers.LinuxSLL), new(layers.LinuxSLL2), new(layers.Loopback),
		&d.ip4, &d.ip6, new(layers.IPv6ExtensionSkipper), &d.tcp,
	}
	return d
}

// decode returns the segment of a frame, whose data lies in the frame's, or why there is none.
func (d *decoder) decode(f frame) (segment, error) {
	first, err := firstLayer(f)
	if err != nil {
		return segment{}, err
	}
	parser := d.parsers[first]
	if parser == nil {
		parser = gopacket.NewDecodingLayerParser(first, d.decoded...)
		parser.IgnoreUnsupported = true
		d.parsers[first] = parser
	}
	d.found = d.found[:0]
	if parser.DecodeLayers(f.data, &d.found) != nil {
		return segment{}, errBroken
	}
	return d.segment(f)
}

// firstLayer is the layer that a frame begins with.
func firstLayer(f frame) (gopacket.LayerType, error) {
	if first, ok := firstLayers[f.link]; ok {
		return first, nil
	}
	switch f.link {
	case layers.LinkTypeRaw, 12, 14: // LINKTYPE_RAW, and DLT_RAW of Linux and of OpenBSD
		if len(f.data) > 0 && f.data[0]>>4 == 6 {
			return layers.LayerTypeIPv6, nil
		}
		return layers.LayerTypeIPv4, nil
	}
	return 0, errLink
}

// segment makes one of the layers just decoded.
func (d *decoder) segment(f frame) (segment, error) {
	s := segment{
		at: f.info.Timestamp, seq: d.tcp.Seq, ack: d.tcp.Ack,
		syn: d.tcp.SYN, fin: d.tcp.FIN, rst: d.tcp.RST, acks: d.tcp.ACK, data: d.tcp.Payload,
	}
	var src, dst netip.Addr
	isTCP := false
	for _, found := range d.found { // the innermost addresses count, as in a tunnel of IP over IP
		switch found {
		case layers.LayerTypeIPv4:
			src, dst, s.cut = address(d.ip4.SrcIP), address(d.ip4.DstIP), cut4(&d.ip4)
		case layers.LayerTypeIPv6:
			src, dst, s.cut = address(d.ip6.SrcIP), address(d.ip6.DstIP), cut6(&d.ip6)
		case layers.LayerTypeTCP:
			isTCP = true
		}
	}
	switch {
	case isTCP && src.IsValid():
		s.from, s.to = netip.AddrPortFrom(src, uint16(d.tcp.SrcPort)), netip.AddrPortFrom(dst, uint16(d.tcp.DstPort))
		return s, nil
	case src.Is4() && (d.ip4.Flags&layers.IPv4MoreFragments != 0 || d.ip4.FragOffset != 0),
		src.Is6() && d.ip6.NextHeader == layers.IPProtocolIPv6Fragment:
		return s, errFragment
	}
	return s, errOther
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// cut4 is how many bytes of the packet the capture lacks.
func cut4(ip *layers.IPv4) int { return max(0, int(ip.Length)-len(ip.Contents)-len(ip.Payload)) }

// cut6 is the same. Length leaves out the header, which counts 40 bytes.
func cut6(ip *layers.IPv6) int {
	present := len(ip.Payload)
	if ip.HopByHop != nil {
		present += ip.HopByHop.ActualLength
	}
	return max(0, int(ip.Length)-present)
}
