package handshake

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"
	"strings"
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

// Padding, as long as crypto/tls takes it, changes nothing but the size.
func TestLongClientHelloIsRead(t *testing.T) {
	ja4 := ""
	for _, size := range []int{300, 9_000, 20_000, maxClientHello} {
		h := *richHello
		body := helloBody(&h)
		padding := make([]byte, size-len(body)-4)
		at := len(body) - len(helloExtensions(&h)) // the length before the extensions
		body = slices.Concat(body[:at-2], prefixed(2, body[at:], uint16s[Extension](extPadding), prefixed(2, padding)))
		got := recorded(AtServer, client(records(message(1, body)))).t.ClientHello
		if got == nil || got.Size != size+messageHeaderLen || got.JA4 == "" || ja4 != "" && got.JA4 != ja4 {
			t.Errorf("of %d bytes read %+v, want JA4 %s", size, got, ja4)
			continue
		}
		ja4 = got.JA4
	}
}

// helloExtensions are the extensions of a ClientHello without their length.
func helloExtensions(h *ClientHello) []byte {
	bare := *h
	bare.Extensions = nil
	return helloBody(h)[len(helloBody(&bare))+2:]
}

// Both fingerprints are those of the whole ClientHello, though only a part of a long list is kept.
func TestKeptListsAreBounded(t *testing.T) {
	h := &ClientHello{
		Version: 0x0303, Suites: counting[Suite](1000), Extensions: append([]Extension{extServerName, extALPN, extSignatureAlgorithms}, counting[Extension](1000)[100:]...),
		ServerName: strings.Repeat("x", 1000), ALPN: slices.Repeat([]string{strings.Repeat("smtp", 50)}, 8), Signatures: counting[SignatureScheme](1000),
	}
	read := func() ClientHello { return *recorded(AtServer, client(hello(h))).t.ClientHello }
	got := read()
	if len(got.Suites) != 128 || len(got.Extensions) != 64 || len(got.Signatures) != 64 || len(got.ServerName) != 255 || len(got.ALPN[7]) != 32 {
		t.Errorf("%d suites, %d extensions, %d signatures, %d bytes of the name and %d of a protocol are kept",
			len(got.Suites), len(got.Extensions), len(got.Signatures), len(got.ServerName), len(got.ALPN[7]))
	}
	h.Extensions[5] = extPadding // not part of the sender's fingerprint
	for what, change := range map[string]func(){
		"suite":     func() { h.Suites[999]++ },
		"extension": func() { h.Extensions[900]++ },
		"signature": func() { h.Signatures[999]++ },
	} {
		before := read()
		change()
		if after := read(); after.JA4 == before.JA4 || after.SenderJA4() == before.SenderJA4() {
			t.Errorf("with another last %s the fingerprints are still %s and %s", what, after.JA4, after.SenderJA4())
		}
	}
}

// counting returns n different values.
func counting[N ~uint16](n int) []N {
	list := make([]N, n)
	for i := range list {
		list[i] = N(i)
	}
	return list
}
