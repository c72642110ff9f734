package capture_test

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"postern/internal/capture"
)

// ethernetHeader has no addresses.
func ethernetHeader(kind layers.EthernetType) []byte {
	return append(make([]byte, 12), byte(kind>>8), byte(kind))
}

// inUDP is a datagram to a port in an Ethernet frame.
func inUDP(t testing.TB, port layers.UDPPort, content []byte) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(10, 0, 0, 1), DstIP: net.IPv4(10, 0, 0, 2)}
	udp := &layers.UDP{SrcPort: 40000, DstPort: port}
	return serialized(t, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, ip, udp, gopacket.Payload(content))
}

// inIP is a packet of a protocol in an Ethernet frame.
func inIP(t testing.TB, protocol layers.IPProtocol, content []byte) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: net.IPv4(10, 0, 0, 1), DstIP: net.IPv4(10, 0, 0, 2)}
	return serialized(t, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, ip, gopacket.Payload(content))
}

func serialized(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true}, all...); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(buffer.Bytes())
}

// Mail is found in whatever an interface carries it in.
func TestEncapsulations(t *testing.T) {
	packets := segments(strict.turns(t), 1400, 1000, 2000)
	const ethernetLen = 14
	for name, outer := range map[string]func(frame []byte) []byte{
		"VLAN in VLAN": func(frame []byte) []byte {
			return slices.Concat(frame[:12], []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}, frame[12:])
		},
		"VLAN in VLAN, before IEEE 802.1ad": func(frame []byte) []byte {
			return slices.Concat(frame[:12], []byte{0x91, 0, 0, 5, 0x81, 0, 0, 6}, frame[12:])
		},
		"Cisco MetaData": func(frame []byte) []byte {
			return slices.Concat(frame[:12], []byte{0x89, 9, 1, 1, 0, 1, 0, 2}, frame[12:])
		},
		"PPPoE": func(frame []byte) []byte {
			ip := frame[ethernetLen:]
			header := []byte{0x11, 0, 0, 7, byte((len(ip) + 2) >> 8), byte(len(ip) + 2), 0, 0x21}
			return slices.Concat(ethernetHeader(layers.EthernetTypePPPoESession), header, ip)
		},
		"PPPoE in VLAN": func(frame []byte) []byte {
			ip := frame[ethernetLen:]
			header := []byte{0, 7, 0x88, 0x64, 0x11, 0, 0, 7, byte((len(ip) + 2) >> 8), byte(len(ip) + 2), 0, 0x21}
			return slices.Concat(ethernetHeader(layers.EthernetTypeDot1Q), header, ip)
		},
		"MPLS, two labels": func(frame []byte) []byte {
			labels := []byte{0, 1, 0, 64, 0, 2, 1, 64}
			return slices.Concat(ethernetHeader(layers.EthernetTypeMPLSUnicast), labels, frame[ethernetLen:])
		},
		"Ethernet over MPLS": func(frame []byte) []byte {
			return slices.Concat(ethernetHeader(layers.EthernetTypeMPLSUnicast), []byte{0, 2, 1, 64, 0, 0, 0, 0}, frame)
		},
		"GRE": func(frame []byte) []byte {
			return inIP(t, layers.IPProtocolGRE, slices.Concat([]byte{0, 0, 8, 0}, frame[ethernetLen:]))
		},
		"Ethernet over GRE": func(frame []byte) []byte {
			return inIP(t, layers.IPProtocolGRE, slices.Concat([]byte{0x20, 0, 0x65, 0x58, 0, 0, 0, 1}, frame))
		},
		"PPTP": func(frame []byte) []byte {
			ip := frame[ethernetLen:]
			header := []byte{0x30, 1, 0x88, 0x0b, byte((len(ip) + 2) >> 8), byte(len(ip) + 2), 0, 1, 0, 0, 0, 9, 0, 0x21}
			return inIP(t, layers.IPProtocolGRE, slices.Concat(header, ip))
		},
		"ERSPAN": func(frame []byte) []byte {
			return inIP(t, layers.IPProtocolGRE, slices.Concat([]byte{0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 1, 0, 0, 0, 0}, frame))
		},
		"IP in IP":             func(frame []byte) []byte { return inIP(t, layers.IPProtocolIPv4, frame[ethernetLen:]) },
		"VXLAN":                func(frame []byte) []byte { return inUDP(t, 4789, slices.Concat([]byte{8, 0, 0, 0, 0, 0, 7, 0}, frame)) },
		"VXLAN, port of Linux": func(frame []byte) []byte { return inUDP(t, 8472, slices.Concat([]byte{8, 0, 0, 0, 0, 0, 7, 0}, frame)) },
		"GENEVE with an option": func(frame []byte) []byte {
			return inUDP(t, 6081, slices.Concat([]byte{2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 0, 0, 0, 0}, frame))
		},
		"GTP-U": func(frame []byte) []byte {
			ip := frame[ethernetLen:]
			return inUDP(t, 2152, slices.Concat([]byte{0x30, 255, byte(len(ip) >> 8), byte(len(ip)), 0, 0, 0, 9}, ip))
		},
		"GTP-U of 5G, with a PDU session container": func(frame []byte) []byte {
			ip := frame[ethernetLen:]
			header := []byte{0x34, 255, byte((len(ip) + 8) >> 8), byte(len(ip) + 8), 0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0, 1, 0}
			return inUDP(t, 2152, slices.Concat(header, ip))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var frames [][]byte
			for _, p := range packets {
				frames = append(frames, outer(ethernet.frame(t, p)))
			}
			strict.check(t, read(t, pcap(t, ethernet.link, frames), nil))
			for i, frame := range frames { // a truncated tunnel is read up to the cut
				frames[i] = frame[:max(len(frame)-20, len(frame)-len(packets[i].data))]
			}
			c := read(t, pcap(t, ethernet.link, frames), nil)[0]
			if c.MissingBytes == 0 || c.Transcript == nil || c.Transcript.ServerHello == nil {
				t.Errorf("truncated, read %+v", c)
			}
		})
	}
}

// Captures of a delivery behind a DSL modem and between virtual machines.
func TestCommittedTunnels(t *testing.T) {
	for _, name := range []string{"healthy-in-pppoe.pcap", "healthy-in-vxlan.pcap"} {
		t.Run(name, func(t *testing.T) {
			found := read(t, sample{file: name}.bytes(t), nil)
			checkTranscript(t, found[0],
				"client: ClientHello",
				"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished?",
				"client: Finished? ApplicationData?",
				"server: Unknown ApplicationData? Alert?",
				"closed by the server after Alert, completed, data")
		})
	}
}

// What is not read is named.
func TestSkippedPacketsAreNamed(t *testing.T) {
	frames := [][]byte{
		inUDP(t, 53, []byte("query")), inUDP(t, 53, []byte("query")), inUDP(t, 443, []byte("QUIC")),
		inIP(t, layers.IPProtocolESP, make([]byte, 40)),
		append(ethernetHeader(layers.EthernetTypePPPoEDiscovery), 0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0),
		append(ethernetHeader(0x88cc), make([]byte, 20)...),
		append(ethernetHeader(0x1234), make([]byte, 20)...),
		append(ethernetHeader(layers.EthernetTypePPPoESession), 0x11, 0, 0, 7, 0, 6, 0xc0, 0x21, 9, 0, 0, 4), // LCP
	}
	r, err := capture.NewReader(bytes.NewReader(pcap(t, ethernet.link, frames)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := r.Next(); err != nil {
			break
		}
	}
	const want = "3 UDP, 1 EtherType 0x1234, 1 IPSecESP, 1 LinkLayerDiscovery, 1 PPP, 1 PPPoE"
	if got := r.Stats().NotTCP.String(); got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}
