package main

import (
	"fmt"
	"time"

	"postern/handshake"
	"postern/internal/capture"
)

// A telling is what explain has told so far.
type telling struct {
	ui                   terminal
	explain              explain
	seen, found, unknown int // handshakes: all, those with a case, those that failed without
}

// conversation tells of one connection of a capture.
func (t *telling) conversation(c *capture.Conversation) error {
	if t.explain.JSON {
		if c.Transcript == nil {
			return nil
		}
		return t.handshake(c.Transcript)
	}
	if t.seen > 0 {
		fmt.Fprintln(t.ui.out)
	}
	fmt.Fprintf(t.ui.out, "== %s\n", conversationLine(c))
	if c.Transcript == nil {
		return nil
	}
	return t.handshake(c.Transcript)
}

// conversationLine says who spoke with whom, and what in the clear.
func conversationLine(c *capture.Conversation) string {
	line := fmt.Sprintf("%s  %s → %s", c.Start.Local().Format(time.DateTime), c.Client, c.Server)
	if c.Name != "" {
		line += ", calls itself " + printable(c.Name)
	}
	switch {
	case c.Refusal != "":
		line += ", STARTTLS refused: " + printable(c.Refusal)
	case c.Transcript == nil && c.Mail:
		line += ", sends mail without TLS"
	case c.Transcript == nil:
		line += ", without TLS"
	}
	if c.Lost > 0 {
		line += fmt.Sprintf(", %d bytes are missing in the capture", c.Lost)
	}
	return line
}

// handshake tells of one handshake.
func (t *telling) handshake(transcript *handshake.Transcript) error {
	e := explanationOf(transcript)
	t.seen++
	switch {
	case len(e.diagnoses) > 0:
		t.found++
	case e.failed:
		t.unknown++
	}
	if t.explain.JSON {
		return t.ui.json(explainedRow(e))
	}
	t.ui.explained(e, handshake.DrawOptions{ASCII: t.explain.ASCII, Location: time.Local})
	return nil
}

// tally notes what of a capture was not read.
func (t *telling) tally(n capture.Tally) {
	if unread := n.OtherLink + n.Fragments + n.Broken; unread > 0 {
		t.ui.note(fmt.Sprintf("%d of %d packets could not be read: %d of unknown links, %d fragments, %d broken or cut (tcpdump -s 0 cuts none)",
			unread, n.Packets, n.OtherLink, n.Fragments, n.Broken))
	}
	if n.Crowded > 0 {
		t.ui.note(fmt.Sprintf("%d connections were given up to make room for others", n.Crowded))
	}
	if t.seen == 0 {
		t.ui.note(fmt.Sprintf("no TLS handshake in %d connections, %d packets", n.Connections, n.Packets))
	}
}

// verdict is the exit status.
func (t *telling) verdict() error {
	switch {
	case t.found > 0:
		return exitStatus(exitFailed)
	case t.unknown > 0, t.seen == 0:
		return exitStatus(exitUnclear)
	}
	return nil
}
