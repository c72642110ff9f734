package handshake_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	. "postern/handshake"
)

func TestTranscriptIsReadBackExactly(t *testing.T) {
	for name, sample := range samples {
		want := sample()
		data, err := json.MarshalIndent(want, "", "  ")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, data)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v\n%s", name, got, want, data)
		}
	}
}

// Users keep files in this format and read them with other programs.
func TestFormatIsAsDocumented(t *testing.T) {
	got, err := json.Marshal(format())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":2,"not_tls":"EHLO\\r\\n","start":"2024-10-24T09:15:02.123456Z","view":"server","client":"192.0.2.7:51034",` +
		`"server":"[2001:db8::25]:25","client_hello":{"size":512,"legacy_version":"TLS 1.2","versions":["GREASE 0x2a2a",` +
		`"TLS 1.3","TLS 1.2"],"suites":["TLS_AES_128_GCM_SHA256","0x1399"],"extensions":["server_name","key_share"],` +
		`"groups":["x25519"],"key_shares":[],"signatures":["rsa_pss_rsae_sha256"],"psk_modes":["psk_dhe_ke",` +
		`"GREASE 0x0b"],"alpn":["smtp","\\n\\x8a"],"server_name":"mx.example.org","session_id":true,` +
		`"ticket_tls12":false,"psk":false,"ja4":"t13d0202h0"},"server_hello":{"version":"TLS 1.3",` +
		`"suite":"TLS_AES_128_GCM_SHA256","group":"x25519","resumed":false,"retried":false},"messages":[` +
		`{"at_us":0,"from":"client","type":"ClientHello","size":512,"missing":2,"write":1},` +
		`{"at_us":1400.125,"from":"server","type":"NewSessionTicket","size":122,"write":2,"encrypted":true,` +
		`"inferred":true,"ticket":{"lifetime_us":604800000000,"size":96}},` +
		`{"at_us":41700,"from":"client","type":"Alert","size":2,"write":3,"alert":{"fatal":true,` +
		`"description":"unknown_ca"}}],"omitted":3,"completed":false,"use":"unused",` +
		`"end":{"kind":"timed_out","by":"client","after":3,"err":"EOF","at_us":60041750},"acknowledged":"part"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The file was written by a Postern of version 1. Its names have all changed since.
func TestVersion1IsRead(t *testing.T) {
	old, err := os.ReadFile("testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(old)
	if err != nil {
		t.Fatal(err)
	}
	want := format()
	want.Use, want.End.By, want.End.At, want.Acknowledged = UseMail, UnknownSide, 0, AckUnknown
	want.Messages[1].From = UnknownSide
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, c := range []struct{ name, data, want string }{
		{"misspelt", `{"version":1,"helo":{}}`, `field "helo" is not known`},
		{"both names", `{"version":1,"hello":{},"client_hello":{}}`, `field "hello" is not known`},
		{"unknown word", `{"version":1,"use":"spoken"}`, `use "spoken" is not known`},
		{"messages of another kind", `{"version":1,"messages":7}`, `field messages`},
		{"a message of another kind", `{"version":1,"messages":[7]}`, `messages[0]: `},
		{"end of another kind", `{"version":1,"end":"EOF"}`, `end: `},
	} {
		if _, err := Parse([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want %q in it", c.name, err, c.want)
		}
	}
}

func TestEveryFieldAndWordIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/transcript-format.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(format())
	if err != nil {
		t.Fatal(err)
	}
	if _, example, found := strings.Cut(string(page), "```json\n"); !found {
		t.Error("docs/transcript-format.md has no example")
	} else if _, err := Parse([]byte(example[:strings.Index(example, "```")])); err != nil {
		t.Errorf("the example of docs/transcript-format.md: %v", err)
	}
	var words []string
	for _, key := range regexp.MustCompile(`"(\w+)":`).FindAllSubmatch(data, -1) {
		words = append(words, string(key[1]))
	}
	for what := range TypeNotTLS + 1 {
		words = append(words, what.String())
	}
	for how := range EndDropped + 1 {
		words = append(words, how.String())
	}
	for ack := range AckAll + 1 {
		words = append(words, ack.String())
	}
	for _, word := range words {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("docs/transcript-format.md does not document %s", word)
		}
	}
}

func TestParseSaysWhichFieldIsWrongAndWhatToDo(t *testing.T) {
	messages := func(m string) string { return `{"version":2,"messages":[{},{},` + m + `]}` }
	for _, c := range []struct{ name, data, want string }{
		{"empty", ``, `no JSON at byte 0`},
		{"cut short", `{"version":2,"start`, `no JSON at byte 19`},
		{"more behind it", `{"version":2} {}`, `no JSON at byte 15`},
		{"null", `null`, `no field version`},
		{"no version", `{}`, `no field version: a transcript begins {"version": 2`},
		{"newer, with fields of its own", `{"version":3,"colour":1}`, `version "3" is not known, only 1 to 2: read it with the release`},
		{"version as text", `{"version":"1"}`, `field version: string where int belongs`},
		{"misspelt field", `{"version":2,"veiw":"server"}`, `field "veiw" is not known in version 2: correct its name`},
		{"misspelt field of a message", messages(`{"sise":1}`), `messages[2]: field "sise" is not known`},
		{"misspelt field of the hello", `{"version":2,"client_hello":{"sni":""}}`, `client_hello: field "sni" is not known`},
		{"kind", messages(`{"size":"12"}`), `messages[2]: field size: string where int belongs`},
		{"negative size", messages(`{"size":-1}`), `messages[2]: size, missing and write: -1, but it counts from 0`},
		{"negative end", `{"version":2,"end":{"after":-1}}`, `end: after: -1`},
		{"negative omitted", `{"version":2,"omitted":-1}`, `omitted: -1`},
		{"type", messages(`{"type":"ClientHullo"}`), `messages[2]: message type "ClientHullo" is not known: write one of Unknown, ClientHello,`},
		{"view", `{"version":2,"view":"moon"}`, `view "moon" is not known: write one of server, client, wire`},
		{"suite", `{"version":2,"server_hello":{"suite":"TLS_ROT13"}}`, `server_hello: cipher suite "TLS_ROT13" is not known: write its number, as in 0x0001`},
		{"suite too large", `{"version":2,"server_hello":{"suite":"0x12345"}}`, `server_hello: cipher suite "0x12345" is not known`},
		{"alert", messages(`{"alert":{"description":"0x100"}}`), `messages[2]: alert "0x100" is not known: write its number, as in 0x01`},
		{"address", `{"version":2,"client":"mx.example.org:25"}`, `address "mx.example.org:25": write it as 192.0.2.1:25`},
		{"start", `{"version":2,"start":"yesterday"}`, `start "yesterday": write it as RFC 3339 does`},
		{"finer than nanoseconds", messages(`{"at_us":1.0001}`), `messages[2]: time "1.0001": write microseconds`},
		{"time with an exponent", messages(`{"at_us":1e3}`), `messages[2]: time "1e3": write microseconds`},
		{"time past counting", messages(`{"at_us":9300000000000000000}`), `messages[2]: time`},
		{"bad escape", `{"version":2,"client_hello":{"server_name":"a\\"}}`, `client_hello: "a\\" is not escaped as in a Go string: write \\ for a backslash`},
		{"long not_tls", `{"version":2,"not_tls":"12345678901234567"}`, `not_tls: 17 bytes, at most 16`},
		{"65 messages", `{"version":2,"messages":[` + strings.Repeat("{},", MaxMessages) + `{}]}`, `messages: 65 of them, at most 64: count the rest in omitted`},
		{"too large", `{"version":2` + strings.Repeat(" ", MaxSize) + `}`, `transcript of 2097165 bytes: more than 2097152 are not read`},
	} {
		_, err := Parse([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want %q in it", c.name, err, c.want)
		} else if strings.Count(err.Error(), "handshake: ") != 1 {
			t.Errorf("%s: %q does not name the package just once", c.name, err)
		}
	}
}

func TestMarshalRefusesValuesWithoutName(t *testing.T) {
	for name, bad := range map[string]Transcript{
		"view":    {View: 3},
		"side":    {Messages: []Message{{From: 3}}},
		"type":    {Messages: []Message{{Type: 200}}},
		"use":     {Use: 9},
		"the end": {End: End{Kind: 9}},
		"acks":    {Acknowledged: 9},
	} {
		if data, err := json.Marshal(bad); err == nil {
			t.Errorf("%s: written as %s, which cannot be read back", name, data)
		}
	}
}

func TestLargestClientHelloFits(t *testing.T) {
	const hello = 64 << 10
	largest := begin()
	largest.ClientHello.Suites = make([]Suite, hello/2)
	for i := range largest.ClientHello.Suites {
		largest.ClientHello.Suites[i] = 0xc024 // one of the longest names
	}
	for range MaxMessages {
		largest.Messages = append(largest.Messages, hidden(Server, TypeEncryptedExtensions, 16384, 9999.123456, 64))
	}
	data, err := json.MarshalIndent(largest, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(data); err != nil {
		t.Error(err)
	}
}
