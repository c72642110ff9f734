package capture

import (
	"bytes"
	"time"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

const (
	// maxClear bounds what is read in the clear, of both sides together. TLS
	// begins within the first few lines, or not at all.
	maxClear = 16 << 10
	// maxHeld bounds what a client says between STARTTLS and the server's answer,
	// where it should say nothing (RFC 3207, Section 4).
	maxHeld = 16 << 10
)

// A dialogue reads what both sides say in the clear, to find where TLS begins.
type dialogue struct {
	c              *Conversation // what is learned stands there
	client, server lineCutter
	heard          int
	greeted        bool    // the server's greeting has passed
	due            *answer // to STARTTLS; nil: none
	unsure         bool    // the capture lacks words of the server, which may have been that
	held           []words // the client's, until it comes
	over           bool    // TLS will not begin any more
	tls            []words // once TLS has begun: those that belong to it
}

// words are what a side said in one segment.
type words struct {
	from handshake.Side
	said []byte
	at   time.Time
}

// hear takes what a side said. Afterwards d.tls tells whether TLS has begun.
func (d *dialogue) hear(w words) {
	l := d.of(w.from)
	for len(w.said) > 0 && !d.over && d.tls == nil {
		waits := w.from == handshake.Client && d.due != nil
		switch {
		case l.startsTLS(w.said) && (!waits || d.unsure):
			d.begin(w)
			return
		case waits:
			d.hold(w)
			return
		}
		line, rest, whole := l.next(w.said)
		d.heard += len(w.said) - len(rest)
		d.over = d.heard > maxClear
		w.said = rest
		switch {
		case !whole:
			return
		case w.from == handshake.Client:
			d.command(line)
		default:
			d.reply(line, w)
		}
	}
}

// begin notes that TLS begins with w, which may be empty.
func (d *dialogue) begin(w words) {
	d.tls, d.held = append(d.held, w), nil
}

// command takes a client's line.
func (d *dialogue) command(line []byte) {
	d.learn(ofClient(line))
	d.greeted = d.greeted || d.c.MidStream
	switch verb, rest := cutVerb(line); verb {
	case "EHLO", "HELO", "LHLO":
		d.c.EHLO = string(rest)
	case "MAIL":
		d.c.Mail = true
	case "DATA", "BDAT":
		d.over = true // the message is not looked at
	}
	if d.due = awaited(line); d.due != nil {
		d.c.StartTLS, d.unsure = true, false
	}
}

// reply takes a server's line and, in w, what it said after that.
func (d *dialogue) reply(line []byte, w words) {
	d.learn(ofServer(line))
	switch {
	case !d.greeted:
		if d.c.Banner == "" {
			d.c.Banner = string(line)
		}
		d.greeted = !goesOn(line)
	case d.due == nil:
	case d.due.isYes(line):
		d.begin(w)
	case d.due.isNo(line):
		d.c.Refusal, d.due = string(line), nil
		held := d.held
		d.held = nil
		for _, w := range held {
			d.hear(w)
		}
	}
}

func (d *dialogue) learn(p Protocol) {
	if d.c.Protocol == None {
		d.c.Protocol = p
	}
}

// lose notes that the capture lacks words of a side.
func (d *dialogue) lose(from handshake.Side) {
	d.of(from).broken = true
	d.unsure = d.unsure || from == handshake.Server
}

// hold keeps what a client says before the answer that it should wait for.
func (d *dialogue) hold(w words) {
	if d.heard += len(w.said); d.heard > maxClear+maxHeld {
		d.over = true
		return
	}
	w.said = bytes.Clone(w.said)
	d.held = append(d.held, w)
}

func (d *dialogue) of(side handshake.Side) *lineCutter {
	if side == handshake.Client {
		return &d.client
	}
	return &d.server
}

// maxLine bounds what is kept of a line: RFC 5321, Section 4.5.3.1.5.
const maxLine = 512

// A lineCutter cuts what one side says into lines.
type lineCutter struct {
	partial []byte
	broken  bool // the line has a gap
}

// next cuts the next line off b; its first bytes may have come before. It is
// without its end, cut to maxLine, empty if it has a gap, and good until the next call.
func (l *lineCutter) next(b []byte) (line, rest []byte, whole bool) {
	part, rest, whole := bytes.Cut(b, []byte("\n"))
	l.partial = append(l.partial, part[:min(len(part), maxLine-len(l.partial))]...)
	if !whole {
		return nil, nil, false
	}
	line = bytes.TrimSuffix(l.partial, []byte("\r"))
	if l.broken {
		line = nil
	}
	l.partial, l.broken = l.partial[:0], false
	return line, rest, true
}

// startsTLS reports whether b begins, where a line would, with what is a TLS
// record of handshake messages and no text (RFC 8446, Section 5.1).
func (l *lineCutter) startsTLS(b []byte) bool {
	return len(l.partial) == 0 && tlsrecord.BeginsHandshake(b)
}

// A listener lends keys to a recorder and tells it when the client sends MAIL in
// what they open. Nothing else of that is looked at, and nothing kept.
type listener struct {
	handshake.Keys
	recorder *handshake.Recorder
}

// Opener is [handshake.Keys].
func (l listener) Opener(s handshake.Session) handshake.Opener {
	if opener := l.Keys.Opener(s); opener != nil {
		return &listening{Opener: opener, recorder: l.recorder}
	}
	return nil
}

// A listening is that of one connection.
type listening struct {
	handshake.Opener
	recorder *handshake.Recorder
	client   lineCutter
	over     bool
}

// Open is [handshake.Opener].
func (l *listening) Open(from handshake.Side, epoch int, record []byte) ([]byte, byte, bool) {
	content, kind, ok := l.Opener.Open(from, epoch, record)
	const applicationData = 23 // RFC 8446, Section 5.1
	if ok && from == handshake.Client && kind == applicationData {
		l.hear(content)
	}
	return content, kind, ok
}

func (l *listening) hear(b []byte) {
	for !l.over {
		line, rest, whole := l.client.next(b)
		if !whole {
			return
		}
		if verb, _ := cutVerb(line); verb == "MAIL" {
			l.recorder.SetUse(handshake.UseMail)
			l.over = true
		}
		b = rest
	}
}
