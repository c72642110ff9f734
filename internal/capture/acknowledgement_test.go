package capture_test

import (
	"slices"
	"testing"
	"time"

	"postern/handshake"
	"postern/interop"
)

// flightAt returns the packets of the strict sample up to the first one of the server's
// flight, in small segments, and the packets of that flight.
func flightAt(t *testing.T) (before, flight []packet) {
	t.Helper()
	packets := segments(strict.turns(t), 400, 1000, 2000)
	for i, p := range packets {
		if p.from == handshake.Server && len(p.data) > 0 && p.data[0] == 22 { // a handshake record
			end := i
			for end < len(packets) && packets[end].from == handshake.Server && packets[end].turn == p.turn {
				end++
			}
			return packets[:i], packets[i:end]
		}
	}
	t.Fatal("no flight")
	return nil, nil
}

// The same flight and end, and what the client's TCP acknowledges of it.
func TestAcknowledgementsDecideWhetherTheFlightIsToBlame(t *testing.T) {
	before, flight := flightAt(t)
	begin, last := flight[0].seq, flight[len(flight)-1]
	end := last.seq + uint32(len(last.data))
	client := flight[0].ack // the client's next byte
	leave := func(ack uint32) packet {
		return packet{from: handshake.Client, seq: client, ack: ack, fin: true}
	}
	reset := func(ack uint32) packet {
		return packet{from: handshake.Client, seq: client, ack: ack, rst: true}
	}
	ack := func(n uint32) packet { return packet{from: handshake.Client, seq: client, ack: n} }
	giveUp := packet{from: handshake.Server, seq: end, ack: client, fin: true}
	for _, tt := range []struct {
		name   string
		after  []packet // the ClientHello
		waited time.Duration
		acked  handshake.Acknowledged
		want   string
	}{
		{"closes when it has the flight", slices.Concat(flight, []packet{leave(end)}), 0, handshake.AckAll, "early-ticket likely"},
		{"acknowledges and closes later", slices.Concat(flight, []packet{ack(end), leave(end)}), time.Minute, handshake.AckAll, "early-ticket likely"},
		{"resets when it has the flight", slices.Concat(flight, []packet{reset(end)}), 0, handshake.AckAll, "early-ticket likely"},
		{"nothing arrives, the client gives up", slices.Concat(flight, []packet{leave(begin)}), time.Minute, handshake.AckNone, "flight-did-not-arrive likely"},
		{"nothing arrives, the server gives up", slices.Concat(flight, []packet{giveUp}), time.Minute, handshake.AckNone, "flight-did-not-arrive likely"},
		{"nothing arrives, in spite of retransmission", slices.Concat(flight, flight, flight, []packet{reset(begin)}), time.Minute, handshake.AckNone, "flight-did-not-arrive likely"},
		{"nothing arrives until the capture stops", slices.Concat(flight, flight), time.Minute, handshake.AckNone, "flight-did-not-arrive likely"},
		{"the capture stops at once", flight, 0, handshake.AckNone, ""},
		{"the beginning arrives", slices.Concat(flight, []packet{ack(begin + 400), leave(begin + 400)}), time.Minute, handshake.AckPart, "flight-did-not-arrive likely"},
		{"acknowledged after the server gave up", slices.Concat(flight, []packet{giveUp, ack(end)}), time.Minute, handshake.AckAll, ""},
		{"FIN before the flight", append([]packet{leave(begin)}, flight...), 0, handshake.AckUnknown, ""},
		{"RST before the flight", append([]packet{reset(begin)}, flight...), 0, handshake.AckUnknown, ""},
		{"FIN crosses the flight", slices.Concat(flight, []packet{leave(begin)}), 0, handshake.AckNone, ""},
		{"RST that acknowledges nothing", slices.Concat(flight, []packet{reset(0)}), 0, handshake.AckUnknown, "early-ticket possible"},
		{"the acknowledgement came before that RST", slices.Concat(flight, []packet{ack(end), reset(0)}), 0, handshake.AckAll, "early-ticket likely"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := read(t, ethernet.pcapAt(t, slices.Concat(before, tt.after), len(before)+len(tt.after)-1, tt.waited), nil)
			if len(found) != 1 || found[0].Transcript == nil {
				t.Fatalf("%d conversations", len(found))
			}
			transcript := found[0].Transcript
			got := ""
			diagnoses, failed := interop.Diagnose(transcript)
			if len(diagnoses) > 0 { // the others are alternatives to the first
				got = diagnoses[0].Case.ID + " " + diagnoses[0].Confidence.String()
			}
			if transcript.Acknowledged != tt.acked || got != tt.want || failed != (tt.want != "" || transcript.End.Kind != handshake.EndOpen) {
				t.Errorf("acknowledged %v, %q, failed %v; want %v, %q\n%s", transcript.Acknowledged, got, failed, tt.acked, tt.want,
					transcript.Diagram(handshake.DiagramOptions{}))
			}
		})
	}
}

// An acknowledgement that is not in the capture may have been sent.
func TestLossyCaptureDoesNotSayThatTheFlightWasLost(t *testing.T) {
	before, flight := flightAt(t)
	last := flight[len(flight)-1]
	lost := slices.Concat(before, flight[:1], flight[2:], []packet{
		{from: handshake.Client, seq: last.ack, ack: flight[1].seq, fin: true},
	})
	found := read(t, ethernet.pcapAt(t, lost, len(lost)-1, time.Minute), nil)
	if got := found[0].Transcript.Acknowledged; got != handshake.AckUnknown {
		t.Errorf("acknowledged %v", got)
	}
}
