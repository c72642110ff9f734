package capture_test

import (
	"testing"

	"postern/interop"
)

// A client that completes the handshake and says goodbye, as certificate monitors do, has not
// failed. Without keys its alert cannot be read.
func TestGoodbyeIsNoFailure(t *testing.T) {
	for file, want := range map[string]string{
		"goodbye.tls12.pcap":     "most likely closed by the client (close_notify)",
		"goodbye.tls13.pcap":     "most likely closed by the client (close_notify)",
		"goodbye.with-keys.pcap": "closed by the client (close_notify)",
	} {
		s := sample{file: file}
		found := read(t, s.bytes(t), s.keys(t))
		if len(found) != 1 || found[0].Transcript == nil {
			t.Fatalf("%s: %d conversations", file, len(found))
		}
		transcript := found[0].Transcript
		if got := transcript.DescribeEnd(); got != want || !transcript.Completed {
			t.Errorf("%s: completed %v, %s; want %s", file, transcript.Completed, got, want)
		}
		if diagnoses, failed := interop.Diagnose(transcript); failed || len(diagnoses) > 0 {
			t.Errorf("%s: failed %v, %+v", file, failed, diagnoses)
		}
	}
}
