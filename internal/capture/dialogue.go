package capture

import (
	"bytes"
	"time"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

const (
	// maxPlaintext bounds the plaintext that is searched for STARTTLS, of both sides
	// together. TLS starts within a few lines, or not at all.
	maxPlaintext = 16 << 10
	// maxEarlyData bounds what a client sends between STARTTLS and the reply, where it
	// should send nothing (RFC 3207, Section 4).
	maxEarlyData = 16 << 10
)

// A dialogue follows the plaintext of a connection to find where TLS starts.
type dialogue struct {
	c              *Conversation // updated with what is found
	client, server lineBuffer
	size           int            // bytes read
	greeted        bool           // the server's greeting is complete
	expected       *startTLSReply // nil if the client has not sent STARTTLS
	replyMissing   bool           // server data is missing that may have been that reply
	earlyData      []payload      // of the client, before the reply
	offer          offerReader
	text           messageText
	positive       bool      // the server has accepted a command
	done           bool      // TLS will not start any more
	tls            []payload // the first TLS data, once TLS has started
}

// A payload is the data of one segment.
type payload struct {
	from handshake.Side
	data []byte
	at   time.Time
}

// feed processes data. Afterwards d.tls is not nil if TLS has started.
func (d *dialogue) feed(p payload) {
	l := d.lineBuffer(p.from)
	for len(p.data) > 0 && !d.done && d.tls == nil {
		if p.from == handshake.Client {
			if p.data = d.text.skip(p.data); len(p.data) == 0 {
				return
			}
		}
		early := p.from == handshake.Client && d.expected != nil
		switch {
		case d.atTLS(p) && (!early || d.replyMissing):
			d.startTLS(p)
			return
		case early:
			d.holdEarlyData(p)
			return
		}
		line, rest, complete := l.next(p.data)
		d.size += len(p.data) - len(rest)
		d.done = d.size > maxPlaintext
		p.data = rest
		switch {
		case !complete:
			return
		case p.from == handshake.Client:
			d.command(line)
		default:
			d.reply(line, p)
		}
	}
}

// atTLS reports whether data begins with a TLS handshake record, or with the ClientHello of
// an old client, where a line would begin, or may: the end of the line before is missing.
func (d *dialogue) atTLS(p payload) bool {
	if l := d.lineBuffer(p.from); len(l.partial) > 0 && !l.gap {
		return false
	}
	return p.beginsTLS()
}

// beginsTLS reports whether TLS may begin with p. A first record that is empty (RFC 8446,
// Section 5.1 forbids it) is that of a protocol which imitates TLS.
func (p payload) beginsTLS() bool {
	if len(p.data) >= tlsrecord.HeaderLen && tlsrecord.Length(p.data) == 0 {
		return false
	}
	return tlsrecord.BeginsHandshake(p.data) || p.from == handshake.Client && tlsrecord.BeginsSSL2Hello(p.data)
}

// startTLS records that TLS starts with p, which may be empty.
func (d *dialogue) startTLS(p payload) {
	d.tls, d.earlyData = append(d.earlyData, p), nil
}

// command processes a line of the client.
func (d *dialogue) command(line []byte) {
	d.setProtocol(clientProtocol(line))
	d.greeted = d.greeted || d.c.MidStream
	verb, rest := cutVerb(line)
	d.offer.command(verb)
	d.done = d.done || !d.text.command(verb, rest)
	switch verb {
	case "EHLO", "HELO", "LHLO":
		d.c.EHLO = string(rest)
	case "MAIL":
		d.c.Mail = true
	}
	if d.expected = startTLSReplyTo(line); d.expected != nil {
		d.c.StartTLS, d.replyMissing = true, d.server.gap
	}
}

// reply processes a line of the server. The data after it is in rest.
func (d *dialogue) reply(line []byte, rest payload) {
	d.setProtocol(serverProtocol(line))
	if d.greeted && d.offer.reply(line) {
		d.c.Offer, d.c.Mask = d.offer.found, d.offer.mask
		if d.c.Offer == NotOffered && isMaskedBanner([]byte(d.c.Banner)) {
			d.c.Offer, d.c.Mask = OfferMasked, d.c.Banner
		}
	}
	if d.greeted && isReply(line) && !isContinued(line) {
		d.positive = d.positive || line[0] == '2' || line[0] == '3'
		accepted, done := d.text.reply(line)
		d.c.MailAccepted, d.done = accepted, d.done || done
	}
	switch {
	case !d.greeted:
		if d.c.Banner == "" {
			d.c.Banner = string(line)
		}
		d.greeted = !isContinued(line)
	case d.expected == nil:
	case d.expected.accepts(line):
		d.startTLS(rest)
	case d.expected.refuses(line):
		d.c.Refusal, d.expected = string(line), nil
		early := d.earlyData
		d.earlyData = nil
		for _, p := range early {
			d.feed(p)
		}
	}
}

func (d *dialogue) setProtocol(p Protocol) {
	if d.c.Protocol == None {
		d.c.Protocol = p
	}
}

// gap records that data from a side is missing.
func (d *dialogue) gap(from handshake.Side) {
	d.lineBuffer(from).gap = true
	d.text.uncounted = true
	d.replyMissing = d.replyMissing || from == handshake.Server
}

// holdEarlyData keeps what the client sends before the reply to STARTTLS.
func (d *dialogue) holdEarlyData(p payload) {
	if d.size += len(p.data); d.size > maxPlaintext+maxEarlyData {
		d.done = true
		return
	}
	p.data = bytes.Clone(p.data)
	d.earlyData = append(d.earlyData, p)
}

func (d *dialogue) lineBuffer(side handshake.Side) *lineBuffer {
	if side == handshake.Client {
		return &d.client
	}
	return &d.server
}

// maxLine is the length at which lines are cut (RFC 5321, Section 4.5.3.1.5).
const maxLine = 512

// A lineBuffer splits the data of one side into lines.
type lineBuffer struct {
	partial []byte
	gap     bool // data of the current line is missing
}

// next returns the next line, which may have begun in earlier data, and the data after
// it. The line has no line ending, is cut at maxLine, empty if its beginning is missing, and valid
// until the next call.
func (l *lineBuffer) next(data []byte) (line, rest []byte, complete bool) {
	part, rest, complete := bytes.Cut(data, []byte("\n"))
	l.partial = append(l.partial, part[:min(len(part), maxLine-len(l.partial))]...)
	if !complete {
		return nil, nil, false
	}
	line = bytes.TrimSuffix(l.partial, []byte("\r"))
	if l.gap && serverProtocol(line) == None && clientProtocol(line) == None {
		line = nil // the end of one that began in the gap
	}
	l.partial, l.gap = l.partial[:0], false
	return line, rest, true
}

// mailKeys are keys that tell the recorder when the client sends MAIL over TLS. No other
// decrypted data is read, and none is kept.
type mailKeys struct {
	handshake.Keys
	recorder *handshake.Recorder
}

// Opener implements [handshake.Keys].
func (m mailKeys) Opener(s handshake.Session) handshake.Opener {
	if opener := m.Keys.Opener(s); opener != nil {
		return &mailOpener{Opener: opener, recorder: m.recorder}
	}
	return nil
}

// A mailOpener decrypts the records of one connection and looks for MAIL.
type mailOpener struct {
	handshake.Opener
	recorder *handshake.Recorder
	client   lineBuffer
	found    bool
}

// Open implements [handshake.Opener].
func (m *mailOpener) Open(from handshake.Side, epoch int, record []byte) ([]byte, byte, bool) {
	content, contentType, ok := m.Opener.Open(from, epoch, record)
	if ok && from == handshake.Client && contentType == tlsrecord.ApplicationData {
		m.search(content)
	}
	return content, contentType, ok
}

func (m *mailOpener) search(data []byte) {
	for !m.found {
		line, rest, complete := m.client.next(data)
		if !complete {
			return
		}
		if verb, _ := cutVerb(line); verb == "MAIL" {
			m.recorder.SetUse(handshake.UseMail)
			m.found = true
		}
		data = rest
	}
}

// A plaintextDialogue follows a connection after STARTTLS in case both sides go on in
// plaintext: behind a device that decrypts, or one that answers STARTTLS for a server without
// TLS.
type plaintextDialogue struct {
	dialogue *dialogue // nil: this is TLS
	found    Conversation
}

// start notes that TLS should begin, after STARTTLS or without it.
func (c *plaintextDialogue) start(startTLS bool) {
	if startTLS {
		c.dialogue = &dialogue{c: &c.found, greeted: true}
	}
}

// feed processes data.
func (c *plaintextDialogue) feed(p payload) {
	if c.dialogue == nil {
		return
	}
	c.dialogue.feed(p)
	if c.dialogue.tls != nil {
		c.dialogue = nil
	}
}

// apply changes the result if the client sent commands and the server accepted one. A server
// that accepts none has most likely refused them since they should have been encrypted.
func (c *plaintextDialogue) apply(result *Conversation) {
	if c.dialogue == nil || !c.dialogue.positive || c.found.EHLO == "" && !c.found.Mail {
		return
	}
	result.InPlaintext, result.Transcript = true, nil
	result.Mail, result.MailAccepted = c.found.Mail, c.found.MailAccepted
}
