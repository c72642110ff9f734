package tlslog

import (
	"bytes"
	"regexp"
	"strings"
)

var (
	swaksStarted = regexp.MustCompile(`^=== TLS started with cipher (\S+)`)
	swaksFailed  = regexp.MustCompile(`^\*\*\* TLS startup failed \((.*)\)$`)
)

func isSwaks(text []byte) bool {
	return bytes.HasPrefix(text, []byte("=== ")) && bytes.Contains(text, []byte("=== Connected to "))
}

// readSwaks reads the output of swaks. It has the SMTP commands, and how TLS went.
func readSwaks(text []byte) (sessions []Session) {
	lines(text, func(line string) {
		if strings.HasPrefix(line, "=== Connected to ") && len(sessions) <= MaxSessions {
			sessions = append(sessions, Session{Program: "swaks"})
		}
		if len(sessions) == 0 {
			return
		}
		s := &sessions[len(sessions)-1]
		if m := swaksStarted.FindStringSubmatch(line); m != nil {
			s.Completed, s.Negotiated = true, shorten(m[1])
		} else if m := swaksFailed.FindStringSubmatch(line); m != nil {
			s.Err = shorten(m[1])
			if strings.Contains(m[1], "certificate verify failed") {
				s.Refused = s.Err
			}
		}
	})
	return sessions
}
