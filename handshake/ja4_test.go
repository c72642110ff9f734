package handshake

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Vectors published with the algorithm, at https://github.com/FoxIO-LLC/ja4 (commit
// 0e54bc8): the example of technical_details/JA4.md, and the results for captures in
// python/test/testdata, which has the lists in the order of the message as JA4_ro.
// Versions and protocols that do not show in the fingerprint are made up.
var ja4Vectors = []struct {
	source string
	hello  ClientHello
	lists  string // suites_extensions_signatures, as JA4_ro has them
	want   string
}{
	{
		source: "technical_details/JA4.md, Example, with GREASE put in",
		hello:  ClientHello{Version: 0x0303, Versions: []Version{0x1a1a, 0x0304, 0x0303}, ALPN: []string{"h2", "http/1.1"}},
		lists:  "0a0a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035_2a2a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015,3a3a_0403,0804,0401,0503,0805,0501,0806,0601",
		want:   "t13d1516h2_8daaf6152771_e5627efa2ab1",
	}, {
		source: "ipv6.pcapng (TLS 1.2)",
		hello:  ClientHello{Version: 0x0303, ALPN: []string{"h2", "http/1.1"}},
		lists:  "c030,c02c,c028,c024,c014,c00a,009f,006b,0039,cca9,cca8,ccaa,ff85,00c4,0088,0081,009d,003d,0035,00c0,0084,c02f,c02b,c027,c023,c013,c009,009e,0067,0033,00be,0045,009c,003c,002f,00ba,0041,c011,c007,0005,0004,c012,c008,0016,000a,00ff_0000,000b,000a,000d,0010_0601,0603,efef,0501,0503,0401,0403,eeee,eded,0301,0303,0201,0203",
		want:   "t12d4605h2_85626a9a5f7f_aaf95bb78ec9",
	}, {
		source: "https3-301-get.pcap (TLS 1.0, a name and nothing else)",
		hello:  ClientHello{Version: 0x0301},
		lists:  "0039,0038,0035,0016,0013,000a,0033,0032,002f,009a,0099,0096,0005,0004,0015,0012,0009,0014,0011,0008,0006,0003,00ff_0000_",
		want:   "t10d230100_6a57a6f57151_000000000000",
	}, {
		source: "macos_tcp_flags.pcap (a scheme named twice)",
		hello:  ClientHello{Version: 0x0303, Versions: []Version{0x0304, 0x0303, 0x0302, 0x0301}, ALPN: []string{"h2", "http/1.1"}},
		lists:  "1301,1302,1303,c02c,c02b,c024,c023,c00a,c009,cca9,c030,c02f,c028,c027,c014,c013,cca8,009d,009c,003d,003c,0035,002f,c008,c012,000a_ff01,0000,0017,000d,0005,0012,0010,000b,0033,002d,002b,000a,0015_0403,0804,0401,0503,0203,0805,0805,0501,0806,0601,0201",
		want:   "t13d2613h2_2802a3db6c62_845d286b0d67",
	}, {
		source: "ssh2.pcapng (TLS 1.2, few extensions)",
		hello:  ClientHello{Version: 0x0303, ALPN: []string{"h2", "http/1.1"}},
		lists:  "c02c,c02b,c030,c02f,c024,c023,c028,c027,c00a,c009,c014,c013,009d,009c,003d,003c,0035,002f,000a_0000,0005,000a,000b,000d,0023,0010,0017,ff01_0804,0805,0806,0401,0501,0201,0403,0503,0203,0202,0601,0603",
		want:   "t12d1909h2_d83cc789557e_7af1ed941c26",
	},
}

func TestJA4IsAsPublished(t *testing.T) {
	for _, test := range ja4Vectors {
		h := test.hello
		lists := strings.Split(test.lists, "_")
		h.Suites, h.Extensions, h.Signatures = hexList[Suite](t, lists[0]), hexList[Extension](t, lists[1]), hexList[SignatureScheme](t, lists[2])
		got := recorded(AtServer, client(hello(&h))).t.ClientHello
		if got == nil {
			t.Errorf("%s: the ClientHello was not understood", test.source)
			continue
		}
		if got.JA4 != test.want {
			t.Errorf("%s: %s, want %s", test.source, got.JA4, test.want)
		}
	}
}

func hexList[N ~uint16](t *testing.T, text string) []N {
	t.Helper()
	list := []N{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		n, err := strconv.ParseUint(word, 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, N(n))
	}
	return list
}

// The example of technical_details/JA4.md, Extension hash, without signature schemes.
func TestJA4WithoutSignatureSchemes(t *testing.T) {
	h := &ClientHello{Extensions: hexList[Extension](t, "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01")}
	if got := ja4(h); !strings.HasSuffix(got, "_000000000000_6d807ffa2a79") {
		t.Error(got)
	}
}

// The examples of technical_details/JA4.md, ALPN Extension Value. The test data for
// tls-non-ascii-alpn.pcapng still has "99", from an earlier rule.
func TestJA4OfProtocolsThatAreNotText(t *testing.T) {
	for name, want := range map[string]string{
		"h2": "h2", "http/1.1": "h1", "a": "aa", "": "00",
		"\xab": "ab", "\x20": "20", "\xab\xcd": "ad", "\x20\x61": "21", "\x30\xab": "3b",
		"\x61\x20": "60", "\x30\x31\xab\xcd": "3d", "\x30\xab\xcd\x31": "01",
	} {
		if first, last := ja4Protocol([]string{name}); string([]byte{first, last}) != want {
			t.Errorf("%q: %c%c, want %s", name, first, last, want)
		}
	}
	if first, last := ja4Protocol(nil); first != '0' || last != '0' {
		t.Errorf("no protocol: %c%c, want 00", first, last)
	}
}

func TestJA4IgnoresGreaseAndOrder(t *testing.T) {
	plain := &ClientHello{Suites: []Suite{0x1301, 0xc02b}, Extensions: []Extension{10, 13}, Signatures: []SignatureScheme{0x0403, 0x0804}}
	odd := &ClientHello{
		Suites:     []Suite{0xfafa, 0xc02b, 0x1301},
		Extensions: []Extension{13, 0x5a5a, 10},
		Signatures: []SignatureScheme{0x0a0a, 0x0403, 0x0804},
	}
	if a, b := ja4(plain), ja4(odd); a != b {
		t.Errorf("%s and %s", a, b)
	}
	slices.Reverse(odd.Signatures)
	if a, b := ja4(plain), ja4(odd); a == b {
		t.Error("the order of the signature schemes made no difference")
	}
}

func TestJA4CountsTo99(t *testing.T) {
	h := &ClientHello{Version: 0x0304, Suites: make([]Suite, 120)}
	if got := ja4(h); !strings.HasPrefix(got, "t13i9900") {
		t.Error(got)
	}
}

// Otherwise a sender that resumes would be taken for another. Postfix pads the ClientHello
// that offers no session, and not the one that does.
func TestSenderJA4IsTheSameWhenASessionIsOffered(t *testing.T) {
	for _, client := range []string{"go", "openssl", "gnutls", "postfix", "exim"} {
		full, resumed := recordedHello(t, client), recordedHello(t, client+"-resumed")
		if full.PSK || !resumed.PSK || full.JA4 == resumed.JA4 {
			t.Fatalf("%s: the recordings are not what this test needs", client)
		}
		if a, b := full.SenderJA4(), resumed.SenderJA4(); a != b {
			t.Errorf("%s: %s, and %s when it resumes", client, a, b)
		}
	}
	if full := recordedHello(t, "openssl"); full.SenderJA4() != full.JA4 {
		t.Errorf("%s in place of the JA4 %s of a full handshake", full.SenderJA4(), full.JA4)
	}
}

// recordedHello returns the ClientHello of a healthy client.
func recordedHello(t *testing.T, client string) *ClientHello {
	t.Helper()
	recorded, err := os.ReadFile("../interop/testdata/transcripts/healthy." + client + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	_, record, _ := bytes.Cut(recorded, []byte("--- transcript\n"))
	parsed, err := Parse(record)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.ClientHello
}

func TestLongListsAreSorted(t *testing.T) {
	for _, n := range []int{0, 1, 128, 129, 4000} {
		list := make([]Suite, n)
		for i := range list {
			list[i] = Suite(i * 40_503) // in no order, some twice
		}
		want := slices.Clone(list)
		slices.Sort(want)
		if sort(list); !slices.Equal(list, want) {
			t.Errorf("%d values are not sorted", n)
		}
	}
}
