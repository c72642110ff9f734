package capture_test

import (
	"bytes"
	"testing"
)

// FuzzRead checks that reading any file ends, with bounded results.
func FuzzRead(f *testing.F) {
	f.Add(strict.bytes(f))
	packets := segments(play("S: 220 hello", "C: EHLO a", "S: 250 hi", "C: STARTTLS", "S: 220 go", "C* "+hello, "S* "+alert), 100, 1, 1)
	for _, w := range []wire{ethernet, {link: 276, v6: true}, {link: 101}, {link: 0}} {
		f.Add(w.pcap(f, packets))
		f.Add(w.pcap(f, shuffled(packets, 1)))
	}
	for _, name := range []string{"healthy-in-vxlan.pcap", "only-server.tls13.pcap"} {
		f.Add(sample{file: name}.bytes(f)[:3000])
	}
	f.Add(ethernet.pcap(f, append(packets[:3:3], packet{from: 1, seq: 2, ack: 2, data: make([]byte, 2)}, packet{from: 2, seq: 9, ack: 2, syn: true})))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, _ := readAll(bytes.NewReader(file), nil)
		for _, c := range found {
			if len(c.Banner) > 512 || len(c.EHLO) > 512 || len(c.Refusal) > 512 || c.Packets > len(file)/16+1 || c.MissingBytes < 0 {
				t.Errorf("read %+v", c)
			}
		}
	})
}
