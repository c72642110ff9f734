// Package relay is the next hop that passes each message on to another server, by
// SMTP or LMTP, while the sender waits. The sender gets that server's replies.
//
//	config, err := relay.ParseURL("smtp://127.0.0.1:10025?xclient=on")
//	hop := relay.New(config, "mx.example.org", log)
//
// There is no queue, so no message can be lost here: one is acknowledged when the
// server has acknowledged it. If the server fails, the sender gets a 4xx reply and
// the log one line. A connection is closed and not used again after any reply that
// was not expected.
//
// # Connections
//
// A sender's session has one connection to the server, opened at its first MAIL and
// reused for later messages that follow within five seconds. If the server has closed it
// between two messages, the next MAIL opens another.
//
// [Config].Connections bounds them. Beyond that, and beyond the share of the sender's
// network, a message waits for 30 seconds and is then deferred.
//
// # Text
//
// The text is sent by DATA, also if the sender used BDAT (RFC 3030). Every server
// supports DATA, and BDAT has an advantage for BINARYMIME only, which is not offered
// to senders. Memory use does not grow with the text.
//
// # The sender's address
//
// The server gets the sender's address by XCLIENT or by a PROXY protocol header, if
// [Config] says so and the server supports it. It then also gets the name in the
// sender's EHLO, in place of ours.
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
	"time"

	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// A Hop passes messages on to a server.
type Hop struct {
	config   Config
	hostname string
	log      *slog.Logger
	tls      *tls.Config
	known    atomic.Pointer[smtp.Extensions]
	slots    *slots
}

// New returns a hop that uses hostname in EHLO or LHLO. log may be nil. It does not
// connect yet: see [Hop.Probe].
func New(config Config, hostname string, log *slog.Logger) *Hop {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	config.Timeouts = config.Timeouts.orDefaults()
	if config.Connections == 0 {
		config.Connections = DefaultConnections
	}
	h := &Hop{
		config:   config,
		hostname: hostname,
		log:      log.With(slog.String(logkey.NextHop, config.String())),
		tls:      config.tlsConfig(),
		slots:    newSlots(config.Connections),
	}
	h.known.Store(&smtp.Extensions{EightBitMIME: true})
	return h
}

// Extensions returns what the server offered in the last conversation. Before the
// first one it returns 8BITMIME only, which every server supports today: without it,
// senders would have to convert their messages.
//
// REQUIRETLS is included only if the connection is encrypted and the server's
// certificate verified (RFC 8689, Section 4.2.1).
func (h *Hop) Extensions() smtp.Extensions { return *h.known.Load() }

// Open starts a sender's session with the server. It does no I/O.
func (h *Hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{hop: h, sender: sender, from: originOf(sender.Addr.Addr()), refusal: &mailFirst}
}

// Probe asks the server for its extensions, for [Hop.Extensions], without sending
// the address of any sender. Its error names the step that failed. The hop can be
// used all the same, and learns the extensions at its first message.
func (h *Hop) Probe(ctx context.Context) error { return h.probe(ctx, nil) }

// ProbeAs is [Hop.Probe] with the address of a sender. Its error wraps [ErrNotOffered] if the
// server lacks what the configuration demands.
func (h *Hop) ProbeAs(ctx context.Context, sender nexthop.Sender) error {
	return h.probe(ctx, &sender)
}

func (h *Hop) probe(ctx context.Context, sender *nexthop.Sender) error {
	c, err := h.connect(ctx, sender)
	if err != nil {
		return err
	}
	c.quit()
	return nil
}

// took reports a step that the server has answered.
func (h *Hop) took(at step, begun time.Time) {
	if h.config.Observe != nil {
		h.config.Observe(string(at), time.Since(begun), false)
	}
}

// remember keeps what the server offers.
func (h *Hop) remember(extensions smtp.Extensions) { h.known.Store(&extensions) }
