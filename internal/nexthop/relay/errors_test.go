package relay

import (
	"io"
	"testing"

	"postern/internal/smtp"
)

// The sender is told what a failure means for it, and the log who said so: only the server's own
// words are the server's.
func TestAReplyAfterAFailureSaysWhoseItIs(t *testing.T) {
	for what, tt := range map[string]struct {
		err    error
		remote bool
	}{
		"closed":            {io.EOF, false},
		"deferred greeting": {&refusedError{smtp.Reply{Code: 421, Lines: []string{"4.3.2 busy"}, Remote: true}}, true},
		"refused greeting":  {&refusedError{smtp.Reply{Code: 554, Lines: []string{"5.7.1 go away"}, Remote: true}}, false},
	} {
		if reply := (&stepError{stepGreeting, tt.err}).reply("S1"); reply.Remote != tt.remote || !reply.Transient() {
			t.Errorf("%s: %+v, want remote %v and 4xx", what, reply, tt.remote)
		}
	}
}
