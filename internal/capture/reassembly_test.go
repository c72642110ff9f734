package capture_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/tlsrecord"
)

var samples = []sample{strict, healthy}

// eachSample runs a test for the flow of each committed capture.
func eachSample(t *testing.T, test func(t *testing.T, s sample, turns []turn)) {
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) { test(t, s, s.turns(t)) })
	}
}

func TestSegmentsMayHaveAnySize(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		for _, mss := range []int{1, 2, 7, 100, 536, 1460, 65000} {
			s.check(t, read(t, ethernet.pcap(t, segments(turns, mss, 1000, 2000)), s.keys(t)))
		}
	})
}

func TestSequenceNumbersWrap(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		for _, first := range []uint32{1<<32 - 1, 1<<32 - 2, 1<<32 - 600, 1<<31 - 300} {
			packets := shuffled(segments(turns, 50, first, first), 1)
			s.check(t, read(t, ethernet.pcap(t, packets), s.keys(t)))
		}
	})
}

// shuffled shuffles the packets of each turn; the turns keep their order.
func shuffled(packets []packet, seed uint64) []packet {
	random := rand.New(rand.NewPCG(seed, 0))
	packets = slices.Clone(packets)
	for i := 3; i < len(packets); {
		end := i
		for end < len(packets) && packets[end].turn == packets[i].turn {
			end++
		}
		part := packets[i:end]
		random.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
		i = end
	}
	return packets
}

func TestPacketsOutOfOrder(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		for seed := range uint64(30) {
			s.check(t, read(t, ethernet.pcap(t, shuffled(segments(turns, 20, 1000, 2000), seed)), s.keys(t)))
		}
	})
}

// Every packet is sent twice, immediately or at the end. The second copy has other data:
// the first counts.
func TestRetransmission(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		packets := segments(turns, 100, 1000, 2000)
		var twice []packet
		for _, p := range packets {
			again := p
			again.data = slices.Repeat([]byte{'?'}, len(p.data))
			twice = append(twice, p, again)
		}
		s.check(t, read(t, ethernet.pcap(t, twice), s.keys(t)))
		s.check(t, read(t, ethernet.pcap(t, append(packets, twice[6:]...)), s.keys(t)))
	})
}

// Segments overlap with earlier ones, and keepalives repeat a byte.
func TestOverlap(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		var packets []packet
		for _, p := range segments(turns, 40, 1000, 2000) {
			if last := len(packets) - 1; last >= 0 && packets[last].turn == p.turn && len(p.data) > 0 && len(packets[last].data) > 10 {
				before := packets[last].data
				p.seq -= 10
				p.data = slices.Concat(before[len(before)-10:], p.data)
			}
			packets = append(packets, p)
			if len(p.data) > 0 {
				packets = append(packets, packet{from: p.from, turn: p.turn, seq: p.seq + uint32(len(p.data)) - 1, ack: p.ack, data: []byte{0}})
			}
		}
		s.check(t, read(t, ethernet.pcap(t, packets), s.keys(t)))
		s.check(t, read(t, ethernet.pcap(t, shuffled(packets[:len(packets):len(packets)], 1)), s.keys(t)))
	})
}

// Any one packet is missing: its size is counted, TLS is found, and the other packets are
// read.
func TestMissingPacket(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		packets := segments(turns, 100, 1000, 2000)
		for i, dropped := range packets {
			if len(dropped.data) == 0 || i == len(packets)-1 { // that the last packet is missing does not show
				continue
			}
			found := read(t, ethernet.pcap(t, slices.Delete(slices.Clone(packets), i, i+1)), s.keys(t))
			if len(found) != 1 || found[0].Transcript == nil || found[0].MissingBytes != len(dropped.data) {
				t.Fatalf("without packet %d of %d bytes: read %+v", i, len(dropped.data), found[0])
			}
			if how := found[0].Transcript.End.Kind; how != handshake.EndClosed && how != handshake.EndAlert {
				t.Errorf("without packet %d: ended %v", i, how)
			}
		}
	})
}

// A reply is not delivered before the data that it replies to.
func TestMissingPacketDoesNotChangeTheOrder(t *testing.T) {
	turns := healthy.turns(t)
	packets := segments(turns, 100, 1000, 2000)
	var hello int // the segment of the server's flight after its first
	for i, p := range packets {
		if hello == 0 && p.from == handshake.Server && len(p.data) > tlsrecord.HeaderLen && p.data[0] == tlsrecord.Handshake {
			hello = i + 4
		}
	}
	found := read(t, ethernet.pcap(t, slices.Delete(slices.Clone(packets), hello, hello+1)), healthy.keys(t))
	checkTranscript(t, found[0],
		"client: ClientHello",
		"server: ServerHello EncryptedExtensions Unknown CertificateVerify Finished",
		"client: Finished ApplicationData",
		"server: NewSessionTicket ApplicationData Alert",
		"client: Alert",
		"closed by the server after Alert, completed, mail")
	if found[0].MissingBytes != 100 {
		t.Errorf("%d bytes are missing", found[0].MissingBytes)
	}
}

// The capture ends after any packet.
func TestCutAfterEveryPacket(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		packets := segments(turns, 200, 1000, 2000)
		messages := 0
		for n := range packets {
			found := read(t, ethernet.pcap(t, packets[:n]), s.keys(t))
			if len(found) == 0 || found[0].Transcript == nil {
				if messages > 0 {
					t.Errorf("after %d packets there is no transcript", n)
				}
				continue
			}
			if got := len(found[0].Transcript.Messages); got < messages {
				t.Errorf("after %d packets there are %d messages, before %d", n, got, messages)
			} else {
				messages = got
			}
			if found[0].MissingBytes != 0 {
				t.Errorf("after %d packets %d bytes are missing", n, found[0].MissingBytes)
			}
		}
	})
}

// The capture begins with any packet. If it includes the ClientHello, the transcript is
// complete.
func TestBegunAtEveryPacket(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		packets := segments(turns, 2000, 1000, 2000)
		begun := false
		for n, p := range packets {
			begun = begun || n > 0 && tlsrecord.BeginsHandshake(packets[n-1].data)
			found := read(t, ethernet.pcap(t, packets[n:]), s.keys(t))
			if begun {
				continue
			}
			if len(found) != 1 {
				t.Fatalf("from packet %d: %d conversations", n, len(found))
			}
			checkTranscript(t, found[0], s.want...)
			if c := found[0]; c.MidStream != !p.syn || c.MissingBytes != 0 || c.Server.Port() != 25 {
				t.Errorf("from packet %d: read %+v", n, c)
			}
		}
	})
}

// Two connections whose packets alternate, and a third between the same ends as the first.
func TestConnectionsAreKeptApart(t *testing.T) {
	one, two := segments(strict.turns(t), 100, 1000, 2000), segments(healthy.turns(t), 100, 3000, 4000)
	other := ethernet
	other.port = 50001
	var frames [][]byte
	for i := range max(len(one), len(two)) {
		if i < len(one) {
			frames = append(frames, ethernet.frame(t, one[i]))
		}
		if i < len(two) {
			frames = append(frames, other.frame(t, two[i]))
		}
	}
	for _, p := range segments(healthy.turns(t), 100, 5000, 6000) {
		frames = append(frames, ethernet.frame(t, p))
	}
	found := read(t, pcap(t, ethernet.link, frames), healthy.keys(t))
	if len(found) != 3 {
		t.Fatalf("%d conversations, want 3", len(found))
	}
	strict.check(t, pick(found, "192.0.2.7:50000", 0))
	healthy.check(t, pick(found, "192.0.2.7:50001", 0))
	healthy.check(t, pick(found, "192.0.2.7:50000", 1))
}

// pick is the n-th conversation of a client.
func pick(found []*capture.Conversation, client string, n int) (list []*capture.Conversation) {
	for _, c := range found {
		if c.Client.String() == client {
			list = append(list, c)
		}
	}
	return list[n : n+1]
}
