package capture_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"postern/handshake"
)

// A turn is data that a side sends, or that it closes.
type turn struct {
	from handshake.Side
	data []byte
	fin  bool
}

// turns returns the flow of a committed capture, to be sent in other segments.
func (s sample) turns(t testing.TB) (list []turn) {
	t.Helper()
	file, err := pcapgo.NewReader(bytes.NewReader(s.bytes(t)))
	if err != nil {
		t.Fatal(err)
	}
	client := layers.TCPPort(0)
	for {
		data, _, err := file.ReadPacketData()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		tcp, ok := gopacket.NewPacket(data, file.LinkType(), gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		if client == 0 {
			client = tcp.SrcPort
		}
		from := handshake.Server
		if tcp.SrcPort == client {
			from = handshake.Client
		}
		if len(tcp.Payload) > 0 || tcp.FIN {
			list = append(list, turn{from, tcp.Payload, tcp.FIN})
		}
	}
}

// A packet is a TCP segment to be written.
type packet struct {
	from          handshake.Side
	seq, ack      uint32
	syn, fin, rst bool
	data          []byte
	turn          int // that it is part of
}

// segments sends turns in segments of at most mss bytes, from the first sequence
// numbers of both sides on. Every segment acknowledges all that the other side sent.
func segments(turns []turn, mss int, client, server uint32) []packet {
	next := map[handshake.Side]uint32{handshake.Client: client + 1, handshake.Server: server + 1}
	list := []packet{
		{from: handshake.Client, seq: client, syn: true},
		{from: handshake.Server, seq: server, syn: true, ack: client + 1},
		{from: handshake.Client, seq: client + 1, ack: server + 1},
	}
	for i, turn := range turns {
		other := handshake.Client + handshake.Server - turn.from
		for rest := turn.data; len(rest) > 0; {
			n := min(mss, len(rest))
			list = append(list, packet{from: turn.from, seq: next[turn.from], ack: next[other], data: rest[:n], turn: i})
			next[turn.from] += uint32(n)
			rest = rest[n:]
		}
		if turn.fin {
			list = append(list, packet{from: turn.from, seq: next[turn.from], ack: next[other], fin: true, turn: i})
			next[turn.from]++
		}
	}
	return list
}

// A wire writes packets as captures.
type wire struct {
	link   layers.LinkType
	v6     bool
	vlan   bool
	port   layers.TCPPort // of the client; 0: 50000
	server layers.TCPPort // 0: 25
}

func (w wire) ports(from handshake.Side) (src, dst layers.TCPPort) {
	client, server := w.port, w.server
	if client == 0 {
		client = 50000
	}
	if server == 0 {
		server = 25
	}
	if from == handshake.Client {
		return client, server
	}
	return server, client
}

// frame is a packet with all its headers.
func (w wire) frame(t testing.TB, p packet) []byte {
	t.Helper()
	src, dst := w.ports(p.from)
	tcp := &layers.TCP{SrcPort: src, DstPort: dst, Seq: p.seq, Ack: p.ack, ACK: p.ack != 0, SYN: p.syn, FIN: p.fin, RST: p.rst, Window: 1000}
	ip, kind := w.ip(p.from)
	if err := tcp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	all := append(w.linkLayers(kind), ip, tcp, gopacket.Payload(p.data))
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return append(w.cooked(kind), buffer.Bytes()...)
}

func (w wire) ip(from handshake.Side) (gopacket.SerializableLayer, layers.EthernetType) {
	if w.v6 {
		src, dst := net.ParseIP("2001:db8::7"), net.ParseIP("2001:db8::25")
		if from == handshake.Server {
			src, dst = dst, src
		}
		return &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolTCP, HopLimit: 64, SrcIP: src, DstIP: dst}, layers.EthernetTypeIPv6
	}
	src, dst := net.IPv4(192, 0, 2, 7), net.IPv4(198, 51, 100, 25)
	if from == handshake.Server {
		src, dst = dst, src
	}
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src, DstIP: dst}, layers.EthernetTypeIPv4
}

func (w wire) linkLayers(kind layers.EthernetType) (list []gopacket.SerializableLayer) {
	if w.link != layers.LinkTypeEthernet {
		return nil
	}
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind}
	if w.vlan {
		eth.EthernetType = layers.EthernetTypeDot1Q
		return []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: 7, Type: kind}}
	}
	return []gopacket.SerializableLayer{eth}
}

// cooked are the link headers that the library does not write, as
// https://www.tcpdump.org/linktypes.html has them.
func (w wire) cooked(kind layers.EthernetType) []byte {
	high, low := byte(kind>>8), byte(kind)
	switch w.link {
	case layers.LinkTypeLinuxSLL:
		return []byte{0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, high, low}
	case layers.LinkTypeLinuxSLL2:
		return []byte{high, low, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0}
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		family := byte(2)
		if w.v6 {
			family = 24
		}
		if w.link == layers.LinkTypeNull {
			return []byte{family, 0, 0, 0}
		}
		return []byte{0, 0, 0, family}
	}
	return nil
}

var morning = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// pcap is a capture of packets that pass a millisecond apart.
func (w wire) pcap(t testing.TB, packets []packet) []byte {
	t.Helper()
	frames := make([][]byte, len(packets))
	for i, p := range packets {
		frames[i] = w.frame(t, p)
	}
	return pcap(t, w.link, frames)
}

// pcapAt is a capture in which the packets from one on pass after a pause.
func (w wire) pcapAt(t testing.TB, packets []packet, from int, pause time.Duration) []byte {
	t.Helper()
	frames := make([][]byte, len(packets))
	for i, p := range packets {
		frames[i] = w.frame(t, p)
	}
	return timedPcap(t, w.link, frames, func(i int) time.Duration {
		at := time.Duration(i) * time.Millisecond
		if i >= from {
			at += pause
		}
		return at
	})
}

func pcap(t testing.TB, link layers.LinkType, frames [][]byte) []byte {
	t.Helper()
	return timedPcap(t, link, frames, func(i int) time.Duration { return time.Duration(i) * time.Millisecond })
}

func timedPcap(t testing.TB, link layers.LinkType, frames [][]byte, at func(i int) time.Duration) []byte {
	t.Helper()
	var b bytes.Buffer
	file := pcapgo.NewWriter(&b)
	if err := file.WriteFileHeader(1<<16, link); err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames {
		info := gopacket.CaptureInfo{Timestamp: morning.Add(at(i)), CaptureLength: len(frame), Length: len(frame)}
		if err := file.WritePacket(info, frame); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

var ethernet = wire{link: layers.LinkTypeEthernet}
