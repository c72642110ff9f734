package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// ErrFormat is what [NewReader] returns of a file that is no capture.
var ErrFormat = errors.New("capture: neither pcap nor pcapng")

const (
	// maxPacket is what libpcap takes for the longest packet.
	maxPacket = 256 << 10
	// maxBetween bounds what a file may hold between two packets: descriptions,
	// names, and keys, which the library reads into memory.
	maxBetween = 4 << 20
	// maxInterfaces and maxNames bound what a pcapng file may describe.
	maxInterfaces, maxNames = 1024, 1 << 16
)

// The first bytes of a section header of pcapng, of the five kinds of pcap that
// are read, and of gzip around either.
var (
	magicSection = []byte{0x0a, 0x0d, 0x0d, 0x0a}
	magicGzip    = []byte{0x1f, 0x8b}
	magicPcap    = []uint32{0xa1b2c3d4, 0xa1b23c4d}
)

// IsCapture reports whether a file that begins with head, 4 bytes of it at least, looks
// like one that [NewReader] reads.
func IsCapture(head []byte) bool {
	return bytes.HasPrefix(head, magicSection) || bytes.HasPrefix(head, magicGzip) || isPcap(head)
}

func isPcap(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	for _, magic := range magicPcap {
		if binary.LittleEndian.Uint32(head) == magic || binary.BigEndian.Uint32(head) == magic {
			return true
		}
	}
	return false
}

// A frame is a packet as the file has it.
type frame struct {
	link layers.LinkType
	info gopacket.CaptureInfo
	data []byte // good until the next
}

// A source gives the frames of a file one after the other, io.EOF at its end.
type source interface{ next() (frame, error) }

func newSource(r io.Reader) (source, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(len(magicGzip)); bytes.Equal(head, magicGzip) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("capture: reading gzip: %w", err)
		}
		in = bufio.NewReader(unzipped)
	}
	head, err := in.Peek(4)
	switch {
	case bytes.Equal(head, magicSection):
		return newPcapng(in)
	case isPcap(head):
		return newPcap(in)
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("capture: reading the file's beginning: %w", err)
	}
	return nil, ErrFormat
}

type pcap struct{ *pcapgo.Reader }

func newPcap(r io.Reader) (source, error) {
	file, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("capture: reading the header of a pcap file: %w", err)
	}
	file.SetSnaplen(maxPacket) // what the file claims may be 4 GiB
	return pcap{file}, nil
}

func (p pcap) next() (frame, error) {
	data, info, err := p.ZeroCopyReadPacketData()
	if err == io.EOF && info.CaptureLength > 0 {
		err = io.ErrUnexpectedEOF // after the packet's header
	}
	return frame{p.LinkType(), info, data}, err
}

type pcapng struct {
	*pcapgo.NgReader
	file *io.LimitedReader
}

func newPcapng(r io.Reader) (source, error) {
	p := pcapng{file: &io.LimitedReader{R: r, N: maxBetween}}
	var err error
	p.NgReader, err = pcapgo.NewNgReader(p.file, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		return nil, fmt.Errorf("capture: reading the header of a pcapng file: %w", err)
	}
	return p, nil
}

func (p pcapng) next() (frame, error) {
	if p.NInterfaces() > maxInterfaces || p.NNames() > maxNames {
		return frame{}, fmt.Errorf("more than %d interfaces or %d names in a section", maxInterfaces, maxNames)
	}
	p.file.N = maxBetween
	data, info, err := p.ZeroCopyReadPacketData()
	if err != nil && p.file.N == 0 {
		err = fmt.Errorf("%d bytes without a packet", maxBetween)
	}
	if err != nil {
		return frame{}, err
	}
	link, _ := info.AncillaryData[0].(layers.LinkType)
	return frame{link, info, data}, nil
}
