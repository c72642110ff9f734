package tlsrptin

import (
	"bytes"
	"net/mail"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A receipt is the time at which a message was received, which its signatures have to be valid
// at (RFC 6376, Section 3.5, x=), and what says so.
type receipt struct {
	at     time.Time
	source string // empty if the message was received just now
}

// String is such as "2024-10-25T03:00:00Z, the topmost Received field".
func (r receipt) String() string {
	return r.at.UTC().Format(time.RFC3339) + ", " + r.source
}

// receiptOf returns when a message of a file was received. The topmost Received field was added
// by the server that delivered it, so the sender of the message cannot choose its time. Without
// one the time that the mailbox has counts, and otherwise the present time. A time in the future
// is none.
func receiptOf(message []byte, mailbox receipt, now time.Time) receipt {
	field := receipt{topmostReceived(message), "the topmost Received field"}
	for _, r := range []receipt{field, mailbox} {
		if !r.at.IsZero() && !r.at.After(now.Add(clockSkew)) {
			return r
		}
	}
	return receipt{now, "the present time, since the message has none"}
}

// clockSkew is how far the clock of the receiver may be ahead of ours.
const clockSkew = time.Hour

// maxTopHeader bounds the header fields that are searched for the first Received.
const maxTopHeader = 64 << 10

// topmostReceived returns the time of the first Received field (RFC 5321, Section 4.4), or zero.
func topmostReceived(message []byte) time.Time {
	top, _ := strings.CutPrefix(string(message[:min(len(message), maxTopHeader)]), "\ufeff")
	var value string
	var found bool
	for line := range strings.Lines(top) {
		line = strings.TrimRight(line, "\r\n")
		name, rest, _ := strings.Cut(line, ":")
		switch {
		case line == "":
			return receivedTime(value)
		case found && strings.HasPrefix(line, " "), found && strings.HasPrefix(line, "\t"):
			value += " " + strings.TrimSpace(line)
		case found:
			return receivedTime(value)
		case strings.EqualFold(strings.TrimRight(name, " \t"), "Received"):
			value, found = rest, true
		}
	}
	return receivedTime(value)
}

// receivedTime returns the date-time after the last semicolon of a Received field.
func receivedTime(value string) time.Time {
	t, err := mail.ParseDate(strings.TrimSpace(value[strings.LastIndex(value, ";")+1:]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// mboxReceipt reads the time of a "From " line (RFC 4155, Appendix A), which is in UTC unless it
// has a zone.
func mboxReceipt(line []byte) receipt {
	fields := bytes.Fields(line)
	for _, layout := range []string{"Mon Jan 2 15:04:05 2006", "Mon Jan 2 15:04:05 -0700 2006", "Mon Jan 2 15:04:05 2006 -0700", "Mon Jan 2 15:04:05 MST 2006"} {
		n := len(strings.Fields(layout))
		if len(fields) < n {
			continue
		}
		t, err := time.Parse(layout, string(bytes.Join(fields[len(fields)-n:], []byte(" "))))
		if err == nil {
			return receipt{t, "the mbox"}
		}
	}
	return receipt{}
}

// maildirReceipt reads the time from a file name in a Maildir, which begins with it in seconds.
func maildirReceipt(path string) receipt {
	seconds, _, found := strings.Cut(filepath.Base(path), ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if !found || err != nil || n <= 0 || n > maxSeconds {
		return receipt{}
	}
	return receipt{time.Unix(n, 0), "the name of its file in the Maildir"}
}

// maxSeconds is the end of the year 9999, which package time can format.
const maxSeconds = 253402300799
