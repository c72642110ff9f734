package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Link types that the library does not know, from
// https://www.tcpdump.org/linktypes.html.
const (
	linkTypeNFLOG layers.LinkType = 239 // tcpdump -i nflog
	linkTypePKTAP layers.LinkType = 258 // tcpdump -i any on macOS
	dltPKTAP      layers.LinkType = 149 // the same, in files of macOS
)

// linkLayers are the link types that begin with a layer of the library.
var linkLayers = map[layers.LinkType]gopacket.LayerType{
	layers.LinkTypeEthernet:    layers.LayerTypeEthernet,
	layers.LinkTypeLinuxSLL:    layers.LayerTypeLinuxSLL,
	layers.LinkTypeLinuxSLL2:   layers.LayerTypeLinuxSLL2,
	layers.LinkTypeNull:        layers.LayerTypeLoopback,
	layers.LinkTypeLoop:        layers.LayerTypeLoopback,
	layers.LinkTypeIPv4:        layers.LayerTypeIPv4,
	layers.LinkTypeIPv6:        layers.LayerTypeIPv6,
	layers.LinkTypePPP:         layers.LayerTypePPP,
	layers.LinkTypePPP_HDLC:    layers.LayerTypePPP,
	layers.LinkTypePPPEthernet: layers.LayerTypePPPoE,
}

// An unknownLinkError is for a packet with an unsupported link type.
type unknownLinkError layers.LinkType

func (e unknownLinkError) Error() string { return "unsupported link type " + e.name() }

func (e unknownLinkError) name() string {
	if name := layers.LinkType(e).String(); name != "UnknownLinkType" {
		return name
	}
	return fmt.Sprintf("link type %d", e)
}

// firstLayer returns the layer that a frame begins with, and the frame from there on.
func firstLayer(f frame) (gopacket.LayerType, []byte, error) {
	if first, ok := linkLayers[f.link]; ok {
		return first, f.data, nil
	}
	switch f.link {
	case layers.LinkTypeRaw, 12, 14: // LINKTYPE_RAW, and DLT_RAW of Linux and OpenBSD
		return ipLayer(f.data), f.data, nil
	case linkTypeNFLOG:
		packet := nflogPayload(f.data)
		return ipLayer(packet), packet, nil
	case linkTypePKTAP, dltPKTAP:
		return pktapPacket(f)
	}
	return 0, nil, unknownLinkError(f.link)
}

// ipLayer is that of an IP packet of either version.
func ipLayer(packet []byte) gopacket.LayerType {
	if len(packet) > 0 && packet[0]>>4 == 6 {
		return layers.LayerTypeIPv6
	}
	return layers.LayerTypeIPv4
}

// nflogPayload returns the IP packet among the attributes of a netfilter log message, each
// of which has its length and type in the byte order of the host: little-endian nearly
// everywhere. It is nil if there is none.
func nflogPayload(data []byte) []byte {
	const headerLen, attributeHeaderLen, payload = 4, 4, 9
	for rest := data[min(headerLen, len(data)):]; len(rest) >= attributeHeaderLen; {
		length, kind := int(binary.LittleEndian.Uint16(rest)), binary.LittleEndian.Uint16(rest[2:])
		if length < attributeHeaderLen {
			return nil
		}
		if kind == payload {
			return rest[attributeHeaderLen:min(length, len(rest))]
		}
		rest = rest[min((length+3)&^3, len(rest)):]
	}
	return nil
}

// pktapPacket returns the packet behind the header that macOS adds, which names the packet's
// own link type.
func pktapPacket(f frame) (gopacket.LayerType, []byte, error) {
	const minHeaderLen = 12
	if len(f.data) < minHeaderLen {
		return 0, nil, errMalformed
	}
	length, link := binary.LittleEndian.Uint32(f.data), binary.LittleEndian.Uint32(f.data[8:])
	if length < minHeaderLen || int64(length) > int64(len(f.data)) || link > 0xffff {
		return 0, nil, errMalformed
	}
	inner := frame{link: layers.LinkType(link), info: f.info, data: f.data[length:]}
	if inner.link == linkTypePKTAP || inner.link == dltPKTAP {
		return 0, nil, errMalformed
	}
	return firstLayer(inner)
}
