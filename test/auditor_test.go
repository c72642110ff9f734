package test

import (
	"path/filepath"
	"testing"

	"postern/internal/testpeer"
)

// Who examines a server connects, looks, and leaves without a command. In the default mode the
// ticket arrives all the same, and the next connection resumes.
func TestAuditorGetsTheTicketWithoutACommand(t *testing.T) {
	p := start(t)
	o := testpeer.OpenSSLOptions{SessionFile: filepath.Join(t.TempDir(), "session"), TicketOnly: true}
	for _, resumed := range []bool{false, true} {
		if d := testpeer.SendOpenSSL(t, p.addr, o); d.Resumed != resumed {
			t.Errorf("resumed: %v, want %v:\n%s", d.Resumed, resumed, d.Output)
		}
	}
	p.awaitSessions(2)
}
