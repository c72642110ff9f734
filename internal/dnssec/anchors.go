package dnssec

import (
	"errors"
	"fmt"
	"io"

	"github.com/miekg/dns"
)

// rootAnchors are the root's key-signing keys of 2017 and 2024, as
// https://data.iana.org/root-anchors/root-anchors.xml has them (RFC 9718).
var rootAnchors = []*dns.DS{
	rootKey(20326, "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"),
	rootKey(38696, "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"),
}

func rootKey(tag uint16, digest string) *dns.DS {
	return &dns.DS{
		Hdr:    dns.RR_Header{Name: ".", Rrtype: dns.TypeDS, Class: dns.ClassINET},
		KeyTag: tag, Algorithm: dns.RSASHA256, DigestType: dns.SHA256, Digest: digest,
	}
}

// RootAnchors returns the trust anchors of the root that were known when this was
// written, in November 2026.
func RootAnchors() []*dns.DS { return append([]*dns.DS(nil), rootAnchors...) }

// ReadAnchors reads trust anchors of the root from a zone file with DS or DNSKEY
// records. At most 64 KiB are read.
func ReadAnchors(r io.Reader) ([]*dns.DS, error) {
	var anchors []*dns.DS
	parser := dns.NewZoneParser(io.LimitReader(r, 64<<10), ".", "")
	parser.SetDefaultTTL(0)
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		if name := record.Header().Name; name != "." {
			return nil, fmt.Errorf("dnssec: a trust anchor of %s: want one of the root", printable(name))
		}
		switch record := record.(type) {
		case *dns.DS:
			anchors = append(anchors, record)
		case *dns.DNSKEY:
			if ds := record.ToDS(dns.SHA256); ds != nil {
				anchors = append(anchors, ds)
			}
		}
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("dnssec: trust anchors: %w", err)
	}
	if anchors == nil {
		return nil, errors.New("dnssec: no DS or DNSKEY record of the root among the trust anchors")
	}
	return anchors, nil
}
