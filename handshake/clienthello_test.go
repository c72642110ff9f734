package handshake

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

var richHello = &ClientHello{
	Version: 0x0303, Suites: []Suite{0x2a2a, 0x1301, 0xc02f},
	Extensions: []Extension{0x3a3a, extServerName, extSupportedGroups, extSignatureAlgorithms, extALPN,
		extSessionTicket, extSupportedVersions, extPSKModes, extKeyShare, extPreSharedKey},
	Groups: []Group{0x4a4a, 4588, 29}, KeyShares: []Group{0x4a4a, 4588}, Signatures: []SignatureScheme{0x0403},
	Versions: []Version{0x5a5a, tls.VersionTLS13, 0x0303}, PSKModes: []PSKMode{1, 0}, ALPN: []string{"smtp", "x"},
	ServerName: "mx.example.org", SessionID: true, TicketTLS12: true, PSK: true,
}

func TestClientHelloIsParsed(t *testing.T) {
	for name, want := range map[string]*ClientHello{
		"rich":          richHello,
		"no extensions": {Version: 0x0301, Suites: []Suite{0x000a}},
		"empty lists": {Version: 0x0303, Suites: []Suite{}, Extensions: []Extension{extSupportedVersions, extPSKModes, extSessionTicket},
			Versions: []Version{}, PSKModes: []PSKMode{}},
	} {
		b := hello(want)
		got := recorded(AtServer, client(b)).t.ClientHello
		if got == nil {
			t.Fatalf("%s: not understood", name)
		}
		read := *got
		if read.Size != len(b)-tlsrecord.HeaderLen || read.JA4 == "" {
			t.Errorf("%s: size %d, JA4 %q", name, read.Size, read.JA4)
		}
		read.Size, read.JA4 = 0, ""
		if !reflect.DeepEqual(&read, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, read, *want)
		}
	}
}

// A ClientHello that cannot be read is a message, but its content is not kept.
func TestMalformedClientHelloIsNotKept(t *testing.T) {
	good := helloBody(richHello)
	short := helloBody(&ClientHello{Version: 0x0303, Suites: []Suite{1}})
	tests := map[string][]byte{
		"empty":                              {},
		"session id that is longer than all": append(make([]byte, 34), 255),
		"bytes behind the extensions":        append(slices.Clone(good), 0),
		"extensions cut":                     slices.Concat(short, []byte{0, 9, 0, 0}),
		"extension that ends too late":       slices.Concat(short, prefixed(2, []byte{0, 43, 0, 9, 1})),
		"list that ends too late":            slices.Concat(short, prefixed(2, []byte{0, 43, 0, 2, 9, 3})),
	}
	bare := *richHello
	bare.Extensions = nil
	for cut := range good {
		if cut != len(helloBody(&bare)) { // a whole one without extensions, as old clients send it
			tests[fmt.Sprintf("cut at %d", cut)] = good[:cut]
		}
	}
	for name, body := range tests {
		r := recorded(AtServer, client(record(tlsrecord.Handshake, message(1, body))))
		if r.t.ClientHello != nil {
			t.Errorf("%s: %+v", name, r.t.ClientHello)
		}
		checkOutline(t, r.Transcript(), "> CH\nopen, completed false, unused")
	}
}

func TestKeptProtocolsAreBounded(t *testing.T) {
	h := &ClientHello{Extensions: []Extension{extALPN}, ALPN: slices.Repeat([]string{"smtp"}, 100)}
	if got := recorded(AtServer, client(hello(h))).t.ClientHello; len(got.ALPN) != maxNames {
		t.Errorf("%d protocols kept", len(got.ALPN))
	}
}
