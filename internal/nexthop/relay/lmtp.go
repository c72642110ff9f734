package relay

import (
	"fmt"

	"postern/internal/safetext"
	"postern/internal/smtp"
)

const (
	// maxFates bounds the recipients that a reply tells about.
	maxFates = 50
	// maxFateText is what of a server's text fits into a line that tells of a
	// recipient: RFC 5321, Section 4.5.3.1.5, allows replies 512 bytes.
	maxFateText = 200
)

// verdictOf is one reply for those that the server gave to the text. For LMTP
// the rule is in docs/decisions/0004-lmtp-many-replies.md: a message is
// acknowledged if all recipients have it, it is to come again if one of them
// may get it later, and else the reply names those who do not get it.
func (s *session) verdictOf(replies []smtp.Reply) smtp.Reply {
	worst := replies[0]
	same := true
	for _, reply := range replies[1:] {
		same = same && reply.Code/100 == worst.Code/100
		if graver(reply, worst) {
			worst = reply
		}
	}
	if worst.Positive() || len(replies) == 1 {
		return worst
	}
	if !same {
		s.logFates(replies)
	}
	return s.withFates(worst, replies)
}

// graver reports whether a decides over b: 4xx over 5xx over 2xx.
func graver(a, b smtp.Reply) bool {
	rank := [...]int{2: 0, 4: 2, 5: 1}
	return rank[a.Code/100] > rank[b.Code/100]
}

// withFates adds to a reply what became of each recipient.
func (s *session) withFates(worst smtp.Reply, replies []smtp.Reply) smtp.Reply {
	prefix := worst.Enhanced()
	if prefix != "" {
		prefix += " " // each line has it (RFC 2034, Section 4)
	}
	all := smtp.Reply{Code: worst.Code, Lines: worst.Lines[:1:1]}
	for i, reply := range replies[:min(len(replies), maxFates)] {
		all.Lines = append(all.Lines, prefix+fate(s.taken[i], reply))
	}
	if more := len(replies) - maxFates; more > 0 {
		all.Lines = append(all.Lines, fmt.Sprintf("%sand %d more", prefix, more))
	}
	return all
}

// fate is what became of a recipient, in words.
func fate(recipient string, reply smtp.Reply) string {
	word := "refused"
	switch {
	case reply.Positive():
		word = "delivered"
	case reply.Transient():
		word = "not now"
	}
	return fmt.Sprintf("<%s> %s: %s", safetext.Reply(recipient, maxFateText), word, safetext.Reply(reply.String(), maxFateText))
}
