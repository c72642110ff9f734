package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
)

// told is what a conversation's transcript says, in lines: what a side sent without
// an answer, then how it ended. ChangeCipherSpec is left out; types that were told by
// order and size have a question mark; an early ticket has an exclamation mark.
func told(c *capture.Conversation) []string {
	t := c.Transcript
	if t == nil {
		return []string{"no TLS"}
	}
	var lines []string
	var last handshake.Side
	for i, m := range t.Messages {
		if m.Type == handshake.ChangeCipherSpec {
			continue
		}
		if m.From != last {
			lines = append(lines, m.From.String()+":")
			last = m.From
		}
		name := m.Type.String()
		if m.Inferred {
			name += "?"
		}
		if t.Early(i) {
			name += "!"
		}
		if m.Missing > 0 {
			name += fmt.Sprintf("-%d", m.Missing)
		}
		lines[len(lines)-1] += " " + name
	}
	return append(lines, ending(t))
}

func ending(t *handshake.Transcript) string {
	text := t.End.How.String()
	if t.End.By != handshake.Nobody {
		text += " by the " + t.End.By.String()
	}
	if t.End.After > 0 {
		text += " after " + t.Messages[t.End.After-1].Type.String()
	}
	if t.Completed {
		text += ", completed"
	}
	return text + ", " + t.Use.String()
}

func checkTold(t *testing.T, c *capture.Conversation, want ...string) {
	t.Helper()
	if got, want := strings.Join(told(c), "\n\t"), strings.Join(want, "\n\t"); got != want {
		t.Errorf("the capture says\n\t%s\nwant\n\t%s", got, want)
	}
}

// checkBegins is for conversations of which both sides may end or go on first.
func checkBegins(t *testing.T, c *capture.Conversation, want ...string) {
	t.Helper()
	if got, want := strings.Join(told(c), "\n\t"), strings.Join(want, "\n\t"); !strings.HasPrefix(got, want) {
		t.Errorf("the capture says\n\t%s\nwant it to begin\n\t%s", got, want)
	}
}
