package capture_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
	"postern/interop"
)

// checkNoFailure checks that a healthy handshake of which a capture has only a part is not
// called failed.
func checkNoFailure(t *testing.T, what string, found []*capture.Conversation) {
	t.Helper()
	for _, c := range found {
		if c.Transcript == nil {
			continue
		}
		cases, failed := interop.Diagnose(c.Transcript)
		diagram := c.Transcript.Diagram(handshake.DiagramOptions{})
		if failed || strings.Contains(diagram, "failed") || strings.Contains(diagram, "✗") {
			t.Errorf("%s: the handshake failed as %v:\n%s", what, cases, diagram)
		}
	}
}

// frames are the packets of a flow on Ethernet.
func frames(t *testing.T, packets []packet) (list [][]byte) {
	t.Helper()
	for _, p := range packets {
		list = append(list, ethernet.frame(t, p))
	}
	return list
}

// Captures lose packets, truncate them, begin late, end early, and have one side only. A
// healthy handshake is never called failed, and one that failed never complete.
func TestIncompleteCapturesDoNotMislead(t *testing.T) {
	healthyFlows, failingFlows := recordedFlows(t)
	healthyFlows["OpenSSL"], failingFlows["chasquid"] = healthy.turns(t), strict.turns(t)
	for _, mss := range []int{300, 1460} {
		for name, turns := range healthyFlows {
			incomplete(t, turns, mss, func(what string, frames [][]byte) {
				t.Helper()
				checkNoFailure(t, fmt.Sprintf("%s, segments of %d, %s", name, mss, what), read(t, pcap(t, ethernet.link, frames), nil))
			})
		}
		for name, turns := range failingFlows {
			incomplete(t, turns, mss, func(what string, frames [][]byte) {
				for _, c := range read(t, pcap(t, ethernet.link, frames), nil) {
					if c.Transcript != nil && c.Transcript.Completed {
						t.Errorf("%s, segments of %d, %s: the handshake completed:\n%s", name, mss, what, c.Transcript.Diagram(handshake.DiagramOptions{}))
					}
				}
			})
		}
	}
}

// Whichever packet is missing, TLS is found.
func TestTLSIsFoundWithoutAnyOnePacket(t *testing.T) {
	healthyFlows, failingFlows := recordedFlows(t)
	maps.Copy(healthyFlows, failingFlows)
	for name, turns := range healthyFlows {
		all := frames(t, segments(turns, 1460, 1000, 2000))
		for i := range all {
			found := read(t, pcap(t, ethernet.link, slices.Delete(slices.Clone(all), i, i+1)), nil)
			if len(found) != 1 || found[0].Transcript == nil {
				t.Errorf("%s, without packet %d: read %+v", name, i, found[0])
			}
		}
	}
}

// A failure in a whole capture is found.
func TestWholeCapturesOfFailuresAreJudged(t *testing.T) {
	_, failing := recordedFlows(t)
	for name, turns := range failing {
		c := read(t, ethernet.pcap(t, segments(turns, 1460, 1000, 2000)), nil)[0]
		if _, failed := interop.Diagnose(c.Transcript); !failed || !c.Transcript.Gaps.IsZero() {
			t.Errorf("%s: not failed, gaps %+v:\n%s", name, c.Transcript.Gaps, c.Transcript.Diagram(handshake.DiagramOptions{}))
		}
	}
}

// Of asymmetric routes a capture has one side. It is said which, and what can still be told.
func TestOneSideIsCaptured(t *testing.T) {
	for _, s := range []sample{healthy, strict} {
		packets := segments(s.turns(t), 1460, 1000, 2000)
		for _, side := range []handshake.Side{handshake.Client, handshake.Server} {
			var seen []packet
			for _, p := range packets {
				if p.from == side {
					seen = append(seen, p)
				}
			}
			for from, name := range []string{"whole", "without its SYN"} {
				found := read(t, ethernet.pcap(t, seen[from:]), nil)
				what := fmt.Sprintf("%s, the %s's side, %s", s.file, side, name)
				if len(found) != 1 || found[0].Transcript == nil {
					t.Fatalf("%s: read %+v", what, found)
				}
				got := found[0].Transcript
				checkNoFailure(t, what, found)
				if got.Gaps.Only != side || got.Completed != (s.file == healthy.file) || got.Undecided() == got.Completed {
					t.Errorf("%s: completed %v, gaps %+v", what, got.Completed, got.Gaps)
				}
			}
		}
	}
}

func TestCommittedCapturesOfOneSide(t *testing.T) {
	for _, version := range []string{"tls12", "tls13"} {
		for _, side := range []handshake.Side{handshake.Client, handshake.Server} {
			found := read(t, sample{file: fmt.Sprintf("only-%s.%s.pcap", side, version)}.bytes(t), nil)
			checkNoFailure(t, version, found)
			diagram := strings.Join(strings.Fields(found[0].Transcript.Diagram(handshake.DiagramOptions{})), " ")
			want := fmt.Sprintf("handshake most likely complete: both sides went on to exchange 41 KB, and only the %s's side was captured", side)
			if !strings.Contains(diagram, want) {
				t.Errorf("%s, %s: the diagram does not say %q:\n%s", version, side, want, diagram)
			}
		}
	}
}

// Acknowledgements whose padding counts as data do not hide the data that follows.
func TestPaddingIsNotData(t *testing.T) {
	found := read(t, sample{file: "acks-with-padding.pcap"}.bytes(t), nil)
	checkTranscript(t, found[0],
		"client: ClientHello",
		"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished?",
		"client: Finished? ApplicationData?",
		"server: Unknown ApplicationData? Alert?",
		"closed by the server after Alert, completed, data")
	for _, size := range []int{1, 2, 6} {
		eachSample(t, func(t *testing.T, s sample, turns []turn) {
			var padded []packet
			next := map[handshake.Side]uint32{handshake.Client: 1001, handshake.Server: 2001}
			for _, p := range segments(turns, 1459, 1000, 2000) {
				next[p.from] += uint32(len(p.data))
				if len(p.data) < size { // SYN, FIN, the first acknowledgement, and short data
					p.data = append(slices.Clone(p.data), make([]byte, size-len(p.data))...)
				}
				padded = append(padded, p)
				if other := handshake.Client + handshake.Server - p.from; len(p.data) > size { // two acknowledgements, which the data follows
					ack := packet{from: other, seq: next[other], ack: next[p.from], data: make([]byte, size)}
					padded = append(padded, ack, ack)
				}
			}
			s.check(t, read(t, ethernet.pcap(t, padded), s.keys(t)))
		})
	}
}

// A server that forgot the connection answers the repeated SYN with another number. The
// client's acknowledgement says which counts.
func TestRepeatedSYNHasAnotherNumber(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		packets := segments(turns, 1460, 1000, 2000)
		stray := packets[1]
		stray.seq = 900_000
		for _, at := range []int{1, 2, 3} { // before the SYN that counts, after it, and after its acknowledgement
			s.check(t, read(t, ethernet.pcap(t, slices.Insert(slices.Clone(packets), at, stray)), s.keys(t)))
		}
	})
}

// Segments of zeros that are data are data.
func TestZerosAreData(t *testing.T) {
	s := play("C: EHLO a", "S: 250 hi", "C: STARTTLS", "S: 220 go", "C* "+hello, "S* "+alert)
	s[4].data = append(s[4].data[:len(s[4].data)-2:len(s[4].data)-2], 0)
	zero := turn{from: handshake.Client, data: []byte{0}}
	for _, turns := range [][]turn{slices.Insert(slices.Clone(s), 5, zero), {s[0], s[1], s[2], s[3], s[4], zero, s[5]}} {
		found := read(t, ethernet.pcap(t, segments(turns, 1000, 1000, 2000)), nil)
		checkTranscript(t, found[0], "client: ClientHello", "server: Alert", "alerted by the server after Alert, unused")
	}
}

// A copy of a segment that has only zeros does not count, whether it comes first or last,
// in order or not.
func TestCopiesOfZerosAreNotData(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, turns []turn) {
		for _, first := range []bool{true, false} {
			var packets []packet
			for _, p := range segments(turns, 1000, 1000, 2000) {
				empty := p
				empty.data, empty.fin = make([]byte, len(p.data)), false
				switch {
				case len(p.data) == 0:
					packets = append(packets, p)
				case first:
					packets = append(packets, empty, p)
				default:
					packets = append(packets, p, empty)
				}
			}
			s.check(t, read(t, ethernet.pcap(t, packets), s.keys(t)))
		}
	})
}
