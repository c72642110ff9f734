package handshake

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

// FuzzFeed feeds the client's and the server's bytes in turn, cut as cuts says. Byte by byte
// the transcript must be the same, except for the writes; it can be written and read back;
// and a recorder holds no more than documented.
func FuzzFeed(f *testing.F) {
	bytesOf := func(side Side, pieces []piece) (b []byte) {
		for _, p := range pieces {
			if p.from == side {
				b = append(b, p.b...)
			}
		}
		return b
	}
	for _, pieces := range append(slices.Collect(maps.Values(hostile())), keyed,
		[]piece{client(plainHello), full(aes128, 36), client(sealed(36), sealed(8)), serve(sealed(200), sealed(200), sealed(2))},
		[]piece{client(hello(richHello)), serve(serverHello(aes256, true), sealed(6), sealed(52)), client(sealed(52), sealed(2))},
		[]piece{client([]byte("EHLO mx.example.org\r\n")), serve(record(21, []byte{2, 70}))},
	) {
		clientBytes, serverBytes := bytesOf(Client, pieces), bytesOf(Server, pieces)
		if len(clientBytes)+len(serverBytes) < 8<<10 {
			f.Add(clientBytes, serverBytes, []byte{4, 0, 4, 0, 0, 60, 0, 60}, uint8(OnWire))
			f.Add(clientBytes, serverBytes, []byte{0, 1, 0, 2, 0, 3}, uint8(AtServer))
		}
	}
	f.Fuzz(func(t *testing.T, clientBytes, serverBytes, cuts []byte, view uint8) {
		pieces := inTurn(clientBytes, serverBytes, cuts)
		var single []piece
		for _, p := range pieces {
			for i := range p.b {
				single = append(single, piece{p.from, p.b[i : i+1]})
			}
		}
		r := recorded(View(view%3), pieces...)
		transcript := r.Transcript()
		data, err := json.Marshal(transcript)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(data); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if held := len(r.client.messages.body) + len(r.server.messages.body) + len(r.client.body) + len(r.server.body); held > maxClientHello+maxServerHello {
			t.Fatalf("holds %d bytes of messages", held)
		}
		if view%3 == uint8(AtServer) {
			return // there the result depends on writes
		}
		if got, want := apartFromWrites(recorded(View(view%3), single...).Transcript()), apartFromWrites(transcript); !reflect.DeepEqual(got, want) {
			t.Fatalf("byte by byte\n%+v\nwant\n%+v", got, want)
		}
	})
}

// inTurn cuts what both sides sent into pieces with the lengths in cuts, two bytes each,
// and the rest.
func inTurn(clientBytes, serverBytes, cuts []byte) (pieces []piece) {
	rest := []*piece{{Client, clientBytes}, {Server, serverBytes}}
	for ; len(cuts) >= 2; cuts = cuts[2:] {
		from := rest[0]
		n := min(int(cuts[0])<<8|int(cuts[1]), len(from.b))
		pieces = append(pieces, piece{from.from, from.b[:n]})
		from.b = from.b[n:]
		rest[0], rest[1] = rest[1], rest[0]
	}
	return append(pieces, *rest[0], *rest[1])
}

func apartFromWrites(t *Transcript) *Transcript {
	for i := range t.Messages {
		t.Messages[i].Write, t.Messages[i].At = 0, 0
	}
	t.End.At = 0
	return t
}

// FuzzClientHello: the content of a ClientHello, built again, is parsed as the same.
func FuzzClientHello(f *testing.F) {
	for _, h := range []*ClientHello{richHello, {Version: 0x0301, Suites: []Suite{0x000a}}} {
		f.Add(helloBody(h))
	}
	f.Add(plainHello[tlsrecord.HeaderLen+messageHeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		h, ok := parseClientHello(body)
		if !ok || len(h.ALPN) >= maxNames || h.senderJA4 != "" { // JA4 is that of more than is kept
			return
		}
		if numbers := len(h.Suites) + len(h.Extensions) + len(h.Groups) + len(h.Signatures) + len(h.Versions) + len(h.KeyShares); numbers > len(body) {
			t.Fatalf("%d numbers of %d bytes", numbers, len(body))
		}
		again, ok := parseClientHello(helloBody(h))
		if !ok {
			t.Fatalf("not understood: %+v", h)
		}
		again.Size = h.Size
		if !reflect.DeepEqual(again, h) {
			t.Fatalf("got  %+v\nwant %+v", again, h)
		}
	})
}
