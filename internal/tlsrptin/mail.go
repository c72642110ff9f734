package tlsrptin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"time"

	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Hop returns a next hop that passes mail on to next and receives the reports in it.
//
// A message to a report address is copied while it is sent to next. The reply is that of
// next, and the copy is parsed once next has accepted the message. With [Settings].Only
// the message is not sent to next, and the reply is 250 when the report is on disk.
func (rc *Receiver) Hop(next nexthop.Hop) nexthop.Hop {
	if len(rc.addresses) == 0 {
		return next
	}
	return hop{next, rc}
}

type hop struct {
	nexthop.Hop
	receiver *Receiver
}

// Open implements [nexthop.Hop].
func (h hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{Session: h.Hop.Open(sender), receiver: h.receiver, sender: sender}
}

// A session is a session with the next hop that intercepts mail to report addresses.
type session struct {
	nexthop.Session
	receiver *Receiver
	sender   nexthop.Sender
	reports  int // recipients of this message that are report addresses
	others   int // other recipients
}

// Mail implements [nexthop.Session].
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.reports, s.others = 0, 0
	return s.Session.Mail(mail)
}

// separately defers a recipient that cannot share a message with the earlier ones. The
// sender sends it another copy (RFC 5321, Section 4.5.3.1.10).
var separately = smtp.NewReply(452, "4.5.3", "reports need a message of their own, send this recipient another copy")

// Rcpt implements [nexthop.Session].
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	count := &s.others
	if s.receiver.addresses[smtp.FoldMailbox(rcpt.To)] {
		count = &s.reports
	}
	if s.receiver.only {
		switch {
		case count == &s.reports && s.others > 0, count == &s.others && s.reports > 0:
			return answer(separately)
		case count == &s.reports:
			s.reports++
			return answer(smtp.NewReply(250, "2.1.5", "report address ok"))
		}
	}
	*count++
	passed := s.Session.Rcpt(rcpt)
	return func() smtp.Reply {
		reply := passed()
		if !reply.Positive() {
			*count--
		}
		return reply
	}
}

func answer(reply smtp.Reply) nexthop.Answer { return func() smtp.Reply { return reply } }

// onlyReport reports whether the current message is not for the next hop.
func (s *session) onlyReport() bool { return s.receiver.only && s.reports > 0 }

// Data implements [nexthop.Session].
func (s *session) Data() nexthop.Answer {
	if s.onlyReport() {
		return answer(smtp.Reply{Code: 354, Lines: []string{"send the report"}})
	}
	return s.Session.Data()
}

// Send implements [nexthop.Session].
func (s *session) Send(text io.Reader) smtp.Reply {
	if s.reports == 0 {
		return s.Session.Send(text)
	}
	copied := &copyReader{from: text, to: &buffer{memory: s.receiver.memory}}
	m := message{copied.to, s.sender.SessionID, s.sender.Addr.Addr(), time.Now()}
	if s.onlyReport() {
		s.Session.Reset()
		defer m.release()
		return s.receiver.storeNow(copied, m)
	}
	reply := s.Session.Send(copied)
	switch {
	case !reply.Positive() || !copied.complete:
		m.release()
	case m.err != nil:
		s.receiver.logNotStored(m, m.err)
	default:
		s.receiver.enqueue(m)
	}
	return reply
}

// A copyReader copies what is read from it into a buffer.
type copyReader struct {
	from     io.Reader
	to       *buffer
	complete bool // from was read to its end
}

// Read implements [io.Reader].
func (c *copyReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.to.Write(p[:n])
	c.complete = c.complete || err == io.EOF
	return n, err
}

// A message is a message to a report address.
type message struct {
	*buffer
	session string
	from    netip.Addr
	at      time.Time
}

// storeMail verifies, parses and stores the report of a message. With mayRetry, it does
// not store it if a DKIM key cannot be looked up now, and returns true.
func (rc *Receiver) storeMail(ctx context.Context, m message, mayRetry bool) (retry bool, err error) {
	received := receipt{at: m.at}
	signatures := verifySignatures(ctx, rc.keys, m.bytes, received) // before acquireParser, since DNS may be slow
	if err := rc.acquireParser(ctx); err != nil {
		return false, err
	}
	defer rc.releaseParser()
	r, retry, err := parseMail(m.bytes, signatures, received)
	if err != nil || retry && mayRetry {
		return retry, err
	}
	r.Via, r.Session, r.Address, r.At = ledger.ByMail, m.session, m.from, m.at
	warnIfInFuture(&r)
	_, err = rc.add(ctx, r)
	return false, err
}

// storeNowTimeout bounds the wait for DNS and the disk, well below the 10 minutes that
// senders wait for a reply (RFC 5321, Section 4.5.3.2.6).
const storeNowTimeout = time.Minute

// storeNow stores a message that is not sent to the next hop.
func (rc *Receiver) storeNow(copied *copyReader, m message) smtp.Reply {
	if _, err := io.Copy(io.Discard, copied); err != nil {
		return smtp.NewReply(451, "4.3.0", "message is incomplete")
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeNowTimeout)
	defer cancel()
	err := m.err
	if err == nil {
		var retry bool
		retry, err = rc.storeMail(ctx, m, true)
		if err == nil && retry { // RFC 6376, Section 6.3: stored now, the report would stay unverified
			return smtp.NewReply(451, "4.7.5", "cannot look up the DKIM key of the report, try again later")
		}
	}
	return rc.replyFor(m, err)
}

// replyFor returns the reply for a report that was stored, or for an error.
func (rc *Receiver) replyFor(m message, err error) smtp.Reply {
	switch {
	case err == nil:
		return smtp.NewReply(250, "2.0.0", "report stored")
	case errors.Is(err, tlsrpt.ErrNotReport):
		return smtp.NewReply(550, "5.6.0", "message contains no TLS report (RFC 8460, section 5.3), and this address accepts nothing else")
	case errors.Is(err, tlsrpt.ErrTooLarge), errors.Is(err, ledger.ErrReportTooLarge):
		return smtp.NewReply(552, "5.3.4", "report too large")
	case errors.Is(err, errBusy):
		return smtp.NewReply(452, "4.3.1", "too many reports at once, try again later")
	}
	rc.log.Warn("cannot store TLS report; sender will retry", logkey.Session, m.session, logkey.Err, err)
	return smtp.NewReply(451, "4.3.0", "cannot store report, try again later")
}

// enqueue stores the report of a message that the next hop has accepted, without waiting
// for that.
func (rc *Receiver) enqueue(m message) {
	select {
	case rc.queue <- m:
	default:
		m.release()
		rc.logNotStored(m, errBusy)
	}
}

// work processes the queue until the Receiver is closed and the queue is empty.
func (rc *Receiver) work(ctx context.Context) {
	for {
		select {
		case m := <-rc.queue:
			rc.process(ctx, m)
			continue
		case <-rc.closing:
		}
		select {
		case m := <-rc.queue:
			rc.process(ctx, m)
		default:
			return
		}
	}
}

// A DKIM key that cannot be looked up is tried again: the next hop has the message.
const (
	keyAttempts = 3
	keyRetry    = time.Minute
)

func (rc *Receiver) process(ctx context.Context, m message) {
	defer m.release()
	defer func() { // a bug in a parser must not stop the server
		if cause := recover(); cause != nil {
			rc.logNotStored(m, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	for n := 1; ; n++ {
		retry, err := rc.storeMail(ctx, m, n < keyAttempts)
		if err != nil {
			rc.logNotStored(m, err)
		}
		if !retry {
			return
		}
		sleep(ctx, keyRetry)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (rc *Receiver) logNotStored(m message, err error) {
	rc.log.Warn("report mail not stored; next hop has it", logkey.Session, m.session, logkey.Err, err)
}
