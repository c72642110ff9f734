// Package relay is the cut-through next hop: it hands each message to another
// server by SMTP or LMTP while the sender waits, and the sender gets that
// server's own replies.
//
//	config, err := relay.ParseURL("smtp://127.0.0.1:10025?xclient=on")
//	hop := relay.New(config, "mx.example.org", log)
//
// Nothing is queued, so nothing can be lost here: a message is acknowledged
// when the server behind has acknowledged it. Trouble with that server is a
// 4xx reply to the sender and one line in the log. A connection on which
// anything was not understood is closed and not used again.
//
// # One sender, one connection
//
// A sender's session has one connection to the server, opened at its first
// MAIL and reused for its later messages. If the server closed it between two
// messages, the next MAIL opens another.
//
// # The text
//
// The text goes out by DATA, also where the sender used BDAT (RFC 3030). Every
// server takes DATA, and BDAT would be of use only for BINARYMIME, which is not
// offered to senders. Memory does not grow with the text.
//
// # Who the sender is
//
// The server learns the sender's address by XCLIENT or by a PROXY protocol
// header, if the [Config] says so and the server knows it. It hears the name
// from the sender's EHLO then, not ours.
//
// Sources: RFC 5321, RFC 2033 (LMTP), RFC 2920 (pipelining), RFC 3207
// (STARTTLS), https://www.postfix.org/XCLIENT_README.html,
// https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt.
package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"

	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// A Hop is a server that takes messages by SMTP or LMTP.
type Hop struct {
	config   Config
	hostname string
	log      *slog.Logger
	tls      *tls.Config
	known    atomic.Pointer[smtp.Extensions]
}

// New makes a hop. hostname is what it calls itself in EHLO or LHLO; log may
// be nil. Nothing is connected yet: see [Hop.Probe].
func New(config Config, hostname string, log *slog.Logger) *Hop {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	config.Timeouts = config.Timeouts.orDefaults()
	h := &Hop{
		config:   config,
		hostname: hostname,
		log:      log.With(slog.String(logkey.NextHop, config.String())),
		tls:      config.tlsConfig(),
	}
	h.known.Store(&smtp.Extensions{EightBitMIME: true})
	return h
}

// Extensions tells what the server said in its last conversation. Before the
// first one that is only 8BITMIME, which every server of today has: a sender
// that was offered less would have to rewrite its messages.
//
// REQUIRETLS is among them only where the connection is encrypted and the
// server's certificate verified (RFC 8689, Section 4.2.1).
func (h *Hop) Extensions() smtp.Extensions { return *h.known.Load() }

// Open starts a sender's session with the server. It does no I/O.
func (h *Hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{hop: h, sender: sender, refused: &mailFirst}
}

// Probe asks the server what it can do, for [Hop.Extensions]. It tells nothing
// about any sender. Its error names the step that went wrong; the hop can be
// used all the same, and learns at its first message.
func (h *Hop) Probe(ctx context.Context) error {
	c, trouble := h.connect(ctx, nil)
	if trouble != nil {
		return trouble
	}
	c.quit(h.config.Timeouts.Quit)
	return nil
}

// learn keeps what the server offers on c.
func (h *Hop) learn(c *conn) {
	extensions := c.extensions()
	h.known.Store(&extensions)
}
