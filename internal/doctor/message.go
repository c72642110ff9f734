package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"postern/internal/probe"
)

// arrival is how long a message may take from the next hop's reply to the mailbox.
const (
	arrival      = 10 * time.Second
	arrivalCheck = 200 * time.Millisecond
)

// message sends a message through the server, looks for it in the mailbox, and removes it. Its
// Received fields say which client the next hop saw.
func (e *examination) message(ctx context.Context) {
	to := e.options.Deliver
	if to == "" {
		title := "No message was sent, so the way to a mailbox was not examined"
		if e.seesSenders() {
			title += ", nor what the next hop sees of senders"
		}
		e.add(probe.Finding{ID: "message", Severity: probe.Notice, Title: title,
			Advice: do("Postern", "Run postern doctor --deliver ADDRESS with an address of yours.")})
		return
	}
	if len(e.addresses) == 0 || e.deferring {
		return // which is a finding already
	}
	id := rand.Text()
	client, err := e.send(ctx, to, id)
	var filtered *textRefused
	switch {
	case errors.As(err, &filtered):
		e.add(probe.Finding{ID: "message", Severity: probe.Unclear, Title: "Filters of the next hop refuse the test message to " + to, Evidence: []string{err.Error()},
			Advice: do("next hop", fmt.Sprintf("The message has no DKIM signature and is from %s at %s: publish an SPF record for %s that allows this address, or exempt it in the filters.", e.author(), client, e.config.Hostname))})
		return
	case err != nil:
		e.add(probe.Finding{ID: "message", Severity: probe.Critical, Title: "The test message to " + to + " was not accepted", Evidence: []string{err.Error()},
			Advice: do("Postern", "If it was refused, postern refusals says who did, Postern or the next hop: look at the log of that one. Otherwise look at the log of Postern.")})
		return
	}
	found, ok := e.await(ctx, to, id)
	if !ok {
		e.add(probe.Finding{ID: "message", Severity: probe.Notice, Title: "The test message to " + to + " was accepted, and is in none of the mailboxes that can be read here",
			Evidence: []string{"Message-ID: <" + id + "@" + e.config.Hostname + ">"},
			Advice:   do("mailbox", "Look at its Received fields: the topmost but Postern's must have the address "+client+". Then delete it.")})
		return
	}
	e.judge(found, client)
	if err := found.remove(ctx); err != nil {
		e.add(probe.Finding{ID: "message-left", Severity: probe.Notice, Title: "The test message was left in " + found.place, Evidence: []string{err.Error()},
			Advice: do("mailbox", "Delete it.")})
	}
}

// seesSenders reports whether the next hop decides by the sender's address, as an SMTP server does.
func (e *examination) seesSenders() bool { return e.config.NextHop != nil && !e.config.NextHop.LMTP }

// judge says which client the next hop saw: it is in the Received fields above Postern's.
func (e *examination) judge(found mailboxMessage, client string) {
	fields := received(found.header)
	own := 0
	var above []string // of the servers after Postern
	for _, field := range fields {
		if strings.Contains(field, " by "+e.config.Hostname+" (Postern) ") {
			own++
		} else if own == 0 {
			above = append(above, field)
		}
	}
	switch evidence := fields; {
	case own == 0:
		e.add(probe.Finding{ID: "message", Severity: probe.Unclear, Title: "The test message has no Received field of Postern", Evidence: evidence,
			Advice: do("next hop", "Look for what removes it: without it, a loop goes on until another server ends it.")})
	case own > 1:
		e.add(probe.Finding{ID: "loop", Severity: probe.Critical, Title: fmt.Sprintf("The next hop sends mail back to Postern: the test message passed it %d times", own), Evidence: evidence,
			Advice: do("next hop", "Let it store mail for the domains, or pass it to the server that does.")})
	case !e.seesSenders():
		e.ok("message", "The test message arrived in "+found.place)
	case strings.Contains(strings.Join(above, "\n"), "["+client+"]"):
		e.ok("message", "The test message arrived in "+found.place+", and the next hop saw its sender at "+client)
	default:
		e.add(probe.Finding{ID: "message", Severity: probe.Warning, Title: "The next hop did not see the sender of the test message at " + client, Evidence: evidence,
			Advice: do("next hop", "Let it expect a PROXY header or XCLIENT from Postern, and use proxy=v2 or xclient=on in next-hop.")})
	}
}

// received returns the Received fields of a header, the last one first, each in one line.
func received(header string) (fields []string) {
	unfolded := strings.NewReplacer("\r\n", "\n", "\n\t", " ", "\n ", " ").Replace(header)
	for line := range strings.Lines(unfolded) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Received") {
			fields = append(fields, strings.Join(strings.Fields(value), " "))
		}
	}
	return fields
}

// send delivers the message as a sender does, and returns the address that it came from.
func (e *examination) send(ctx context.Context, to, id string) (client string, err error) {
	at := e.addresses[0]
	dialer := new(net.Dialer)
	if at.Addr().IsLoopback() && at.Addr().Is4() {
		// Postern connects to the next hop from 127.0.0.1, which would look the same.
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil && dialer.LocalAddr != nil { // a system with one address of loopback
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", at.String())
	}
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	client, _, _ = net.SplitHostPort(conn.LocalAddr().String())
	err = e.deliver(conn, to, id)
	return client, cmp.Or(ctx.Err(), err)
}

// author is who the message is from. Its domain may have a DMARC policy.
func (e *examination) author() string { return "postmaster@" + e.config.Hostname }

// textRefused is a reply to the text of a message that gives a policy as the reason (RFC 3463,
// Section 3.8).
type textRefused struct{ reply *textproto.Error }

func (r *textRefused) Error() string { return r.reply.Error() }

func (e *examination) deliver(conn net.Conn, to, id string) error {
	host := e.config.Hostname
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	from := e.author()
	steps := []func() error{
		func() error { return c.Hello(host) },
		func() error {
			// As most senders, it accepts any certificate: the domains' check looks at it.
			return c.StartTLS(&tls.Config{ServerName: host, InsecureSkipVerify: true})
		},
		func() error { return c.Mail("") }, // servers refuse senders of their own domains, and a bounce would be of no use
		func() error { return c.Rcpt(to) },
		func() error {
			text, err := c.Data()
			if err != nil {
				return err
			}
			fmt.Fprintf(text, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s@%s>\r\nSubject: Test by postern doctor\r\n\r\n"+
				"This message was sent by postern doctor. Delete it.\r\n", time.Now().Format(time.RFC1123Z), from, to, id, host)
			err = text.Close()
			if reply := new(textproto.Error); errors.As(err, &reply) && (strings.HasPrefix(reply.Msg, "5.7.") || strings.HasPrefix(reply.Msg, "4.7.")) {
				err = &textRefused{reply}
			}
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	_ = c.Quit() // the message is accepted
	return nil
}

// await waits until the message is in a mailbox that can be read; ok is false if it does not
// get there.
func (e *examination) await(ctx context.Context, to, id string) (found mailboxMessage, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	again := time.NewTicker(arrivalCheck)
	defer again.Stop()
	for {
		for _, look := range mailboxes {
			if found, ok := look(ctx, e.config, to, id); ok {
				return found, true
			}
		}
		select {
		case <-ctx.Done():
			return mailboxMessage{}, false
		case <-again.C:
		}
	}
}
