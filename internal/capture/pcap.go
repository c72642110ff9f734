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

// ErrFormat is wrapped by the error of [NewReader] if the file is not a capture.
var ErrFormat = errors.New("capture: neither pcap nor pcapng")

const (
	// maxPacket is the largest packet, as in libpcap.
	maxPacket = 256 << 10
	// maxBetween bounds the pcapng blocks between two packets (interfaces, names, keys),
	// which the library reads into memory.
	maxBetween = 4 << 20
	// maxInterfaces and maxNames bound the descriptions in a section of a pcapng file.
	maxInterfaces, maxNames = 1024, 1 << 16
)

// The magic numbers of pcapng, gzip and pcap. Those of pcap are for timestamps in
// microseconds and nanoseconds, in either byte order.
var (
	magicSection = []byte{0x0a, 0x0d, 0x0d, 0x0a}
	magicGzip    = []byte{0x1f, 0x8b}
	magicPcap    = []uint32{0xa1b2c3d4, 0xa1b23c4d}
)

// IsCapture reports whether head, at least the first 4 bytes of a file, is the beginning
// of a file that [NewReader] reads.
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

// A frame is a captured link-layer frame.
type frame struct {
	link layers.LinkType
	info gopacket.CaptureInfo
	data []byte // valid until the next frame
}

// openFile returns a function that returns the frames of a file in order, and io.EOF at
// its end.
func openFile(r io.Reader) (next func() (frame, error), err error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(len(magicGzip)); bytes.Equal(head, magicGzip) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("capture: reading gzip: %w", err)
		}
		in = bufio.NewReader(unpacked)
	}
	head, err := in.Peek(4)
	switch {
	case bytes.Equal(head, magicSection):
		return openPcapng(in)
	case isPcap(head):
		return openPcap(in)
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("capture: reading the header: %w", err)
	}
	return nil, ErrFormat
}

func openPcap(r io.Reader) (next func() (frame, error), err error) {
	file, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("capture: reading the pcap header: %w", err)
	}
	file.SetSnaplen(maxPacket) // the file may claim 4 GiB
	return func() (frame, error) {
		data, info, err := file.ZeroCopyReadPacketData()
		if err == io.EOF && info.CaptureLength > 0 {
			err = io.ErrUnexpectedEOF // the packet's header was read
		}
		return frame{file.LinkType(), info, data}, err
	}, nil
}

func openPcapng(r io.Reader) (next func() (frame, error), err error) {
	limited := &io.LimitedReader{R: r, N: maxBetween}
	file, err := pcapgo.NewNgReader(limited, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		return nil, fmt.Errorf("capture: reading the pcapng header: %w", err)
	}
	return func() (frame, error) {
		if file.NInterfaces() > maxInterfaces || file.NNames() > maxNames {
			return frame{}, fmt.Errorf("more than %d interfaces or %d names in a section", maxInterfaces, maxNames)
		}
		limited.N = maxBetween
		data, info, err := file.ZeroCopyReadPacketData()
		if err != nil && limited.N == 0 {
			err = fmt.Errorf("%d bytes without a packet", maxBetween)
		}
		if err != nil {
			return frame{}, err
		}
		link, _ := info.AncillaryData[0].(layers.LinkType)
		return frame{link, info, data}, nil
	}, nil
}
