package capture

import (
	"errors"
	"fmt"
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
	hasACK   bool // ack is valid
	data     []byte

	truncated int // bytes after data that were sent and not captured
	missing   int // bytes before data that are not in the capture; set by stream
}

// start is the sequence number of the first byte of data. SYN occupies one before it.
func (s *segment) start() uint32 {
	if s.syn {
		return s.seq + 1
	}
	return s.seq
}

// end is the sequence number after the last byte of data.
func (s *segment) end() uint32 { return s.start() + uint32(len(s.data)+s.truncated) }

// seqDiff is the distance from sequence number b to a, which wrap around (RFC 9293,
// Section 3.4). It is negative if a is before b.
func seqDiff(a, b uint32) int { return int(int32(a - b)) }

var (
	errFragment  = errors.New("IP fragment")
	errMalformed = errors.New("malformed or truncated headers")
)

// A notTCPError is for a packet that is not TCP over IP. It names what the packet is.
type notTCPError string

func (e notTCPError) Error() string { return "not TCP over IP: " + string(e) }

// A decoder decodes frames to TCP segments. It reuses its layers.
type decoder struct {
	parsers  map[gopacket.LayerType]*gopacket.DecodingLayerParser // by first layer
	layers   []gopacket.DecodingLayer
	decoded  []gopacket.LayerType // of the current frame
	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	ip4      layers.IPv4
	ip6      layers.IPv6
	tcp      layers.TCP
	udp      layers.UDP
}

func newDecoder() *decoder {
	d := &decoder{parsers: make(map[gopacket.LayerType]*gopacket.DecodingLayerParser)}
	d.layers = append(encapsulations(),
		&d.ethernet, &d.vlan, new(layers.LinuxSLL), new(layers.LinuxSLL2), new(layers.Loopback),
		&d.ip4, &d.ip6, new(layers.IPv6ExtensionSkipper), &d.tcp, &d.udp,
	)
	return d
}

// decode returns the segment in a frame, or an error if there is none. The segment's data
// is part of the frame's.
func (d *decoder) decode(f frame) (segment, error) {
	first, data, err := firstLayer(f)
	if err != nil {
		return segment{}, err
	}
	parser := d.parsers[first]
	if parser == nil {
		parser = gopacket.NewDecodingLayerParser(first, d.layers...)
		d.parsers[first] = parser
	}
	d.decoded = d.decoded[:0]
	err = parser.DecodeLayers(data, &d.decoded)
	if unsupported := gopacket.UnsupportedLayerType(0); errors.As(err, &unsupported) {
		return d.segment(f, gopacket.LayerType(unsupported))
	}
	if err != nil {
		return segment{}, errMalformed
	}
	return d.segment(f, gopacket.LayerTypePayload)
}

// segment returns the segment in the decoded layers, which next follows.
func (d *decoder) segment(f frame, next gopacket.LayerType) (segment, error) {
	s := segment{
		at: f.info.Timestamp, seq: d.tcp.Seq, ack: d.tcp.Ack,
		syn: d.tcp.SYN, fin: d.tcp.FIN, rst: d.tcp.RST, hasACK: d.tcp.ACK, data: d.tcp.Payload,
	}
	var src, dst netip.Addr
	isTCP := false
	for _, layer := range d.decoded { // in a tunnel of IP over IP the inner addresses count
		switch layer {
		case layers.LayerTypeIPv4:
			src, dst, s.truncated = address(d.ip4.SrcIP), address(d.ip4.DstIP), truncated4(&d.ip4)
		case layers.LayerTypeIPv6:
			src, dst, s.truncated = address(d.ip6.SrcIP), address(d.ip6.DstIP), truncated6(&d.ip6)
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
	return s, d.notTCP(next)
}

// notTCP names the layers of a packet that is not TCP, by the last that was decoded and
// the one that follows.
func (d *decoder) notTCP(next gopacket.LayerType) notTCPError {
	last := gopacket.LayerTypePayload
	if n := len(d.decoded); n > 0 {
		last = d.decoded[n-1]
	}
	switch unnamed := next == gopacket.LayerTypePayload || next == gopacket.LayerTypeZero; {
	case unnamed && last == layers.LayerTypeEthernet:
		return etherType(d.ethernet.EthernetType)
	case unnamed && last == layers.LayerTypeDot1Q:
		return etherType(d.vlan.Type)
	case unnamed || last == layers.LayerTypeUDP:
		return notTCPError(last.String())
	}
	return notTCPError(next.String())
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// truncated4 returns how many bytes of the packet were not captured.
func truncated4(ip *layers.IPv4) int { return max(0, int(ip.Length)-len(ip.Contents)-len(ip.Payload)) }

// truncated6 is truncated4 for IPv6, where Length does not include the header.
func truncated6(ip *layers.IPv6) int {
	present := len(ip.Payload)
	if ip.HopByHop != nil {
		present += ip.HopByHop.ActualLength
	}
	return max(0, int(ip.Length)-present)
}

func etherType(t layers.EthernetType) notTCPError {
	return notTCPError(fmt.Sprintf("EtherType 0x%04x", uint16(t)))
}
