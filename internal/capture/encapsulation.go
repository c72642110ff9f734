package capture

import (
	"encoding/binary"
	"errors"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Numbers that the library does not know.
const (
	etherTypeOldQinQ = 0x9100 // VLAN in VLAN, before IEEE 802.1ad
	etherTypeCMD     = 0x8909 // Cisco MetaData, with which switches tag security groups
	portOldVXLAN     = 8472   // VXLAN in Linux by default; IANA later assigned 4789
)

// layerTypeCiscoMetaData has a number that the library leaves to others.
var layerTypeCiscoMetaData = gopacket.RegisterLayerType(2001, gopacket.LayerTypeMetadata{Name: "Cisco MetaData"})

func init() {
	layers.EthernetTypeMetadata[etherTypeOldQinQ] = layers.EthernetTypeMetadata[layers.EthernetTypeQinQ]
	layers.EthernetTypeMetadata[etherTypeCMD] = layers.EnumMetadata{
		Name: "Cisco MetaData", LayerType: layerTypeCiscoMetaData, DecodeWith: gopacket.DecodePayload,
	}
	layers.RegisterUDPPortLayerType(portOldVXLAN, layers.LayerTypeVXLAN)
}

// encapsulations are the layers between a link and the IP packet of a connection.
func encapsulations() []gopacket.DecodingLayer {
	return []gopacket.DecodingLayer{
		&header{layer: layerTypeCiscoMetaData, read: readCiscoMetaData},
		&header{layer: layers.LayerTypeMPLS, read: readMPLS},
		&header{layer: layers.LayerTypePPPoE, read: readPPPoE},
		&header{layer: layers.LayerTypePPP, read: readPPP},
		new(layers.GRE), new(layers.EtherIP), new(layers.ERSPANII),
		new(layers.VXLAN), new(layers.Geneve), &header{layer: layers.LayerTypeGTPv1U, read: readGTP},
	}
}

// A header is a layer that the library decodes only in whole packets, or does not decode
// in truncated ones.
type header struct {
	layer gopacket.LayerType
	// read returns the header's length and what follows. It gets at least 5 bytes. If
	// the length is 0 the header is malformed, if it is beyond the data, truncated.
	read    func(data []byte) (length int, next gopacket.LayerType)
	next    gopacket.LayerType
	payload []byte
}

var errHeader = errors.New("malformed or truncated header")

// DecodeFromBytes implements [gopacket.DecodingLayer].
func (h *header) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	if len(data) < 5 {
		return errHeader
	}
	length, next := h.read(data)
	if length == 0 || length > len(data) {
		return errHeader
	}
	h.payload, h.next = data[length:], next
	return nil
}

// CanDecode implements [gopacket.DecodingLayer].
func (h *header) CanDecode() gopacket.LayerClass { return h.layer }

// NextLayerType implements [gopacket.DecodingLayer].
func (h *header) NextLayerType() gopacket.LayerType { return h.next }

// LayerPayload implements [gopacket.DecodingLayer].
func (h *header) LayerPayload() []byte { return h.payload }

// readMPLS reads a label (RFC 3032, Section 2.1). What follows the last is not named: it is
// IP, or an Ethernet frame behind a control word (RFC 4448, Section 4.6).
func readMPLS(data []byte) (length int, next gopacket.LayerType) {
	const labelLen, controlWordLen = 4, 4
	switch last := data[2]&1 != 0; {
	case !last:
		return labelLen, layers.LayerTypeMPLS
	case data[labelLen]>>4 == 4:
		return labelLen, layers.LayerTypeIPv4
	case data[labelLen]>>4 == 6:
		return labelLen, layers.LayerTypeIPv6
	case data[labelLen]>>4 == 0:
		return labelLen + controlWordLen, layers.LayerTypeEthernet
	}
	return labelLen, layers.LayerTypeEthernet
}

// readCiscoMetaData reads a tag of version 1, whose length byte counts words of 4 bytes, and the
// EtherType behind it.
func readCiscoMetaData(data []byte) (length int, next gopacket.LayerType) {
	if length = 2 + 4*int(data[1]); data[0] != 1 || len(data) < length+2 {
		return 0, 0
	}
	return length + 2, layers.EthernetType(binary.BigEndian.Uint16(data[length:])).LayerType()
}

// readPPPoE reads the header of PPPoE (RFC 2516, Section 4). Discovery has a code, sessions
// have none.
func readPPPoE(data []byte) (length int, next gopacket.LayerType) {
	if data[1] != 0 {
		return 6, gopacket.LayerTypePayload
	}
	return 6, layers.LayerTypePPP
}

// readPPP reads the header of a PPP frame, in which address and control (RFC 1662, Section
// 3.1) and the first byte of the protocol (RFC 1661, Section 6.5) may be left out.
func readPPP(data []byte) (length int, next gopacket.LayerType) {
	const ipv4, ipv6 = 0x0021, 0x0057
	if data[0] == 0xff && data[1] == 0x03 {
		length = 2
	}
	protocol := binary.BigEndian.Uint16(data[length:])
	length += 2
	if protocol&0x100 != 0 {
		protocol >>= 8
		length--
	}
	switch protocol {
	case ipv4:
		return length, layers.LayerTypeIPv4
	case ipv6:
		return length, layers.LayerTypeIPv6
	}
	return length, gopacket.LayerTypePayload
}

// readGTP reads a header of GTP-U with its extensions (3GPP TS 29.281, Section 5.1). Only
// a G-PDU has an IP packet.
func readGTP(data []byte) (length int, next gopacket.LayerType) {
	const version1, gPDU = 0x30, 255
	if data[0]&0xf0 != version1 || data[1] != gPDU {
		return len(data), gopacket.LayerTypePayload
	}
	length = 8
	if data[0]&0x07 != 0 { // extension, sequence number or N-PDU number
		length += 4
	}
	for extended := data[0]&0x04 != 0; extended; {
		if length >= len(data) {
			return 0, 0
		}
		if data[length-1] == 0 {
			break
		}
		if data[length] == 0 {
			return 0, 0
		}
		length += 4 * int(data[length])
	}
	if length < len(data) && data[length]>>4 == 6 {
		return length, layers.LayerTypeIPv6
	}
	return length, layers.LayerTypeIPv4
}
