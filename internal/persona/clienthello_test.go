package persona_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
)

// A shape offers a part of what the imitated library offers, in the same order.
func TestShapeIsPartOfTheRecordedClientHello(t *testing.T) {
	at := target(newServer(t).start(t))
	for _, library := range []string{"openssl", "gnutls"} {
		t.Run(library, func(t *testing.T) {
			recorded := recordedHello(t, library)
			shaped := find(t, "healthy-"+library).Run(t.Context(), at).Transcript.ClientHello
			withoutNone := slices.DeleteFunc(slices.Clone(shaped.Extensions), func(e handshake.Extension) bool {
				return e == serverNameExtension && !slices.Contains(recorded.Extensions, e) // the recorded one had no server name
			})
			checkIsPart(t, "extensions", withoutNone, recorded.Extensions)
			checkIsPart(t, "suites", shaped.Suites, recorded.Suites)
			checkIsPart(t, "groups", shaped.Groups, recorded.Groups)
			checkIsPart(t, "key shares", shaped.KeyShares, recorded.KeyShares)
			checkIsPart(t, "signatures", shaped.Signatures, recorded.Signatures)
			checkIsPart(t, "versions", shaped.Versions, recorded.Versions)
			if !slices.Equal(shaped.PSKModes, recorded.PSKModes) {
				t.Errorf("PSK modes %v, want %v", shaped.PSKModes, recorded.PSKModes)
			}
		})
	}
}

const serverNameExtension = 0 // RFC 6066, Section 3

// recordedHello is that of a real client, in a transcript of package interop.
func recordedHello(t *testing.T, library string) *handshake.ClientHello {
	t.Helper()
	text, err := os.ReadFile("../../interop/testdata/transcripts/healthy." + library + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	_, record, _ := strings.Cut(string(text), "--- transcript\n")
	transcript, err := handshake.Parse([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	return transcript.ClientHello
}

// checkIsPart checks that whole contains all of part in order.
func checkIsPart[N ~uint16](t *testing.T, what string, part, whole []N) {
	t.Helper()
	rest := whole
	for _, n := range part {
		i := slices.Index(rest, n)
		if i < 0 {
			t.Errorf("%s: %v is no part of %v in its order: %#04x", what, part, whole, n)
			return
		}
		rest = rest[i+1:]
	}
	if len(part) == 0 {
		t.Errorf("%s: none", what)
	}
}

func TestClientHelloHasThePersonasProperty(t *testing.T) {
	at := target(newServer(t).start(t))
	for id, has := range map[string]func(*handshake.ClientHello) bool{
		"early-ticket":             func(h *handshake.ClientHello) bool { return slices.Equal(h.PSKModes, []handshake.PSKMode{1}) },
		"ticket-without-psk-modes": func(h *handshake.ClientHello) bool { return h.PSKModes == nil && !slices.Contains(h.Extensions, 35) },
		"tls12-only":               func(h *handshake.ClientHello) bool { return slices.Max(versionsOf(h)) == 0x0303 },
		"tls10-only":               func(h *handshake.ClientHello) bool { return slices.Max(versionsOf(h)) == 0x0301 },
		"sha1-signatures-only": func(h *handshake.ClientHello) bool {
			return slices.Equal(h.Signatures, []handshake.SignatureScheme{0x0201, 0x0203})
		},
		"group-mismatch": func(h *handshake.ClientHello) bool { return slices.Equal(h.Groups, []handshake.Group{25}) },
		"p521-first": func(h *handshake.ClientHello) bool {
			return h.Groups[0] == 25 && slices.Equal(h.KeyShares, []handshake.Group{25})
		},
		"hello-retry": func(h *handshake.ClientHello) bool {
			return len(h.KeyShares) == 1 && handshake.IsGREASE(h.KeyShares[0])
		},
		"hello-retry-refused": func(h *handshake.ClientHello) bool { return slices.Equal(h.KeyShares, []handshake.Group{29}) },
		"big-hello":           func(h *handshake.ClientHello) bool { return h.Size > 1400 && h.KeyShares[0] == 4588 },
		"big-hello-split":     func(h *handshake.ClientHello) bool { return h.Size > 1400 && h.KeyShares[0] == 4588 },
		"big-hello-bytes":     func(h *handshake.ClientHello) bool { return h.Size > 1400 && h.KeyShares[0] == 4588 },
		"ml-dsa-hello": func(h *handshake.ClientHello) bool {
			return h.Size > 1400 && h.KeyShares[0] == 4588 && slices.Contains(h.Signatures, 0x0904)
		},
		"unknown-sni":      func(h *handshake.ClientHello) bool { return h.ServerName == "unknown.invalid" },
		"no-sni":           func(h *handshake.ClientHello) bool { return !slices.Contains(h.Extensions, serverNameExtension) },
		"sni-trailing-dot": func(h *handshake.ClientHello) bool { return h.ServerName == "localhost." },
		"sni-address":      func(h *handshake.ClientHello) bool { return h.ServerName == "127.0.0.1" },
	} {
		if v := find(t, id).Run(t.Context(), at); !has(v.Transcript.ClientHello) {
			t.Errorf("%s does not: %+v", id, v.Transcript.ClientHello)
		}
	}
}

// versionsOf returns the versions that h offers, with or without the extension.
func versionsOf(h *handshake.ClientHello) []handshake.Version {
	if h.Versions == nil {
		return []handshake.Version{h.Version}
	}
	return h.Versions
}

func TestClientHelloIsSplit(t *testing.T) {
	for id, want := range map[string]func(writes []int) bool{
		"big-hello":       func(w []int) bool { return len(w) == 1 },
		"big-hello-split": func(w []int) bool { return len(w) == 2 && min(w[0], w[1]) > 700 },
		"big-hello-bytes": func(w []int) bool { return len(w) > 1400 && slices.Max(w) == 1 },
	} {
		s := newServer(t)
		at := target(s.start(t))
		counted := new(countedConn)
		at.Dial = counted.dial
		v := find(t, id).Run(t.Context(), at)
		if !v.Completed || !want(counted.hello) {
			t.Errorf("%s: %d writes, completed %v: %v", id, len(counted.hello), v.Completed, v.Err)
		}
		if p := find(t, id); (p.Delay > 0) != (id == "big-hello-split") {
			t.Errorf("%s: Delay %v", id, p.Delay)
		}
	}
}
