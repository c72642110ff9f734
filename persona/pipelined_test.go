package persona_test

import (
	"strings"
	"testing"
)

func TestPipelinedCommand(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*server)
		in       bool
		executed bool
	}{
		{"discarded", func(*server) {}, true, false},
		{"refused", func(s *server) { s.refuses = true }, false, false},
		{"executed over TLS", func(s *server) { s.trusts = true }, true, true},
		{"answered in clear", func(s *server) { s.eager = true }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			tt.change(s)
			v := find(t, "plaintext-after-starttls").Visit(t.Context(), target(s.start(t)))
			if v.In != tt.in || v.Executed != tt.executed {
				t.Errorf("in %v, executed %v, want %v, %v: %v", v.In, v.Executed, tt.in, tt.executed, v.Err)
			}
			if executed := strings.Contains(s.heard(), "NOOP"); tt.name == "executed over TLS" && !executed || tt.in && executed != tt.executed {
				t.Errorf("the server heard %s", s.heard())
			}
		})
	}
}
