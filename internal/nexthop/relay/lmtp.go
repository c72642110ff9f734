package relay

import (
	"fmt"
	"log/slog"

	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/internal/smtp"
)

const (
	// maxStatuses bounds the recipients that a reply names.
	maxStatuses = 50
	// maxStatusText bounds an address and a server's text in a status, in bytes:
	// RFC 5321, Section 4.5.3.1.5, allows 512 for the line of a reply.
	maxStatusText = 200
)

// combineReplies makes one reply of those to the end of the text. The rule for LMTP
// is in docs/decisions/0004-lmtp-many-replies.md: a message is accepted if all
// recipients have it, deferred if one of them may get it later, and otherwise the
// reply names those who do not get it.
func (s *session) combineReplies(replies []smtp.Reply) smtp.Reply {
	worst := replies[0]
	same := true
	for _, reply := range replies[1:] {
		same = same && reply.Code/100 == worst.Code/100
		if outranks(reply, worst) {
			worst = reply
		}
	}
	if worst.Positive() || len(replies) == 1 {
		return worst
	}
	if !same {
		s.logStatuses(replies)
	}
	return s.withStatuses(worst, replies)
}

// outranks reports whether a decides over b: 4xx over 5xx over 2xx.
func outranks(a, b smtp.Reply) bool {
	rank := [...]int{2: 0, 4: 2, 5: 1}
	return rank[a.Code/100] > rank[b.Code/100]
}

// withStatuses adds a line for each recipient to a reply.
func (s *session) withStatuses(worst smtp.Reply, replies []smtp.Reply) smtp.Reply {
	prefix := worst.Enhanced()
	if prefix != "" {
		prefix += " " // each line has it (RFC 2034, Section 4)
	}
	all := smtp.Reply{Code: worst.Code, Lines: worst.Lines[:1:1], Remote: worst.Remote}
	for i, reply := range replies[:min(len(replies), maxStatuses)] {
		all.Lines = append(all.Lines, prefix+status(s.accepted[i], reply))
	}
	if more := len(replies) - maxStatuses; more > 0 {
		all.Lines = append(all.Lines, fmt.Sprintf("%sand %d more", prefix, more))
	}
	return all
}

// status describes what happened to the message for one recipient.
func status(recipient string, reply smtp.Reply) string {
	word := "refused"
	switch {
	case reply.Positive():
		word = "delivered"
	case reply.Transient():
		word = "deferred"
	}
	return fmt.Sprintf("<%s> %s: %s", safetext.Reply(recipient, maxStatusText), word, safetext.Reply(reply.String(), maxStatusText))
}

// logStatuses logs what happened for the recipients that the server has replied for.
func (s *session) logStatuses(replies []smtp.Reply) {
	statuses := make([]string, len(replies))
	for i, reply := range replies {
		statuses[i] = status(s.accepted[i], reply)
	}
	s.log(slog.LevelWarn, "LMTP recipients got different replies", slog.Any(logkey.Recipients, statuses))
}
