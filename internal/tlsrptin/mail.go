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

// Hop returns next with the intake before it. What is for a report address is copied
// while it streams to next, and the copy is read once next has taken the message: the
// reply is next's. With [Settings].Only next does not see it, and the reply is 250 when
// the report is safe on disk.
func (i *Receiver) Hop(next nexthop.Hop) nexthop.Hop {
	if len(i.addresses) == 0 {
		return next
	}
	return hop{next, i}
}

type hop struct {
	nexthop.Hop
	intake *Receiver
}

// Open is of [nexthop.Hop].
func (h hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{Session: h.Hop.Open(sender), intake: h.intake, sender: sender}
}

// A session is next's, but for mail to report addresses.
type session struct {
	nexthop.Session
	intake  *Receiver
	sender  nexthop.Sender
	reports int // recipients of this message that are report addresses
	others  int
}

// Mail is of [nexthop.Session].
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.reports, s.others = 0, 0
	return s.Session.Mail(mail)
}

// apart is the reply to a recipient that cannot share a message with those before: the
// sender brings it again by itself (RFC 5321, Section 4.5.3.1.10).
var apart = smtp.NewReply(452, "4.5.3", "reports come in a message of their own, send this recipient another")

// Rcpt is of [nexthop.Session].
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	count := &s.others
	if s.intake.addresses[smtp.FoldMailbox(rcpt.To)] {
		count = &s.reports
	}
	if s.intake.only {
		switch {
		case count == &s.reports && s.others > 0, count == &s.others && s.reports > 0:
			return answer(apart)
		case count == &s.reports:
			s.reports++
			return answer(smtp.NewReply(250, "2.1.5", "reports are taken here"))
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

// alone reports whether the message at hand is the intake's alone.
func (s *session) alone() bool { return s.intake.only && s.reports > 0 }

// Data is of [nexthop.Session].
func (s *session) Data() nexthop.Answer {
	if s.alone() {
		return answer(smtp.Reply{Code: 354, Lines: []string{"send the report"}})
	}
	return s.Session.Data()
}

// Send is of [nexthop.Session].
func (s *session) Send(text io.Reader) smtp.Reply {
	if s.reports == 0 {
		return s.Session.Send(text)
	}
	copied := &copying{from: text, to: &held{room: s.intake.room}}
	a := arrival{copied.to, s.sender.SessionID, s.sender.Addr.Addr(), time.Now()}
	if s.alone() {
		s.Session.Reset()
		defer a.free()
		return s.intake.now(copied, a)
	}
	reply := s.Session.Send(copied)
	switch {
	case !reply.Positive() || !copied.whole:
		a.free()
	case a.lost != nil:
		s.intake.refused(a, a.lost)
	default:
		s.intake.later(a)
	}
	return reply
}

// A copying reader keeps what is read of it.
type copying struct {
	from  io.Reader
	to    *held
	whole bool // all has been read
}

// Read is of [io.Reader].
func (c *copying) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.to.Write(p[:n])
	c.whole = c.whole || err == io.EOF
	return n, err
}

// takeTime bounds the wait for a signer's DNS server and for the disk, well below the 10
// minutes that senders wait (RFC 5321, Section 4.5.3.2.6).
const takeTime = time.Minute

// now takes a mail in that goes nowhere else.
func (i *Receiver) now(copied *copying, a arrival) smtp.Reply {
	if _, err := io.Copy(io.Discard, copied); err != nil {
		return smtp.NewReply(451, "4.3.0", "message was broken off")
	}
	ctx, cancel := context.WithTimeout(context.Background(), takeTime)
	defer cancel()
	err := a.lost
	if err == nil {
		var later bool
		later, err = i.takeMail(ctx, a, true)
		if err == nil && later { // RFC 6376, Section 6.3. To take it would be to lose for good who signed it.
			return smtp.NewReply(451, "4.7.5", "cannot get the key of the report's signature, try again later")
		}
	}
	return i.replyTo(a, err)
}

// replyTo tells what became of a report.
func (i *Receiver) replyTo(a arrival, err error) smtp.Reply {
	switch {
	case err == nil:
		return smtp.NewReply(250, "2.0.0", "report is kept")
	case errors.Is(err, tlsrpt.ErrNotReport):
		return smtp.NewReply(550, "5.6.0", "no TLS report is in this message (RFC 8460, section 5.3), and nobody reads others")
	case errors.Is(err, tlsrpt.ErrTooLarge), errors.Is(err, ledger.ErrReportTooLarge):
		return smtp.NewReply(552, "5.3.4", "report larger than taken here")
	case errors.Is(err, errBusy):
		return smtp.NewReply(452, "4.3.1", "too many reports at once, try again later")
	}
	i.log.Warn("TLS report cannot be kept, its sender is told to come again", logkey.Session, a.session, logkey.Err, err)
	return smtp.NewReply(451, "4.3.0", "report cannot be kept now, try again later")
}

// An arrival is a mail that the next hop has taken too.
type arrival struct {
	*held
	session string
	from    netip.Addr
	at      time.Time
}

// later takes a mail in when the next hop has it already. It never waits.
func (i *Receiver) later(a arrival) {
	select {
	case i.queue <- a:
	default:
		a.free()
		i.refused(a, errBusy)
	}
}

func (i *Receiver) work(ctx context.Context) {
	for {
		select {
		case a := <-i.queue:
			i.tend(ctx, a)
			continue
		case <-i.closing:
		}
		select {
		case a := <-i.queue:
			i.tend(ctx, a)
		default:
			return
		}
	}
}

// Keys that cannot be asked for now are asked for again: the mail is safe elsewhere.
const (
	attempts = 3
	again    = time.Minute
)

func (i *Receiver) tend(ctx context.Context, a arrival) {
	defer a.free()
	defer func() { // a parser's fault must not end the server
		if cause := recover(); cause != nil {
			i.refused(a, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	for n := 1; ; n++ {
		later, err := i.takeMail(ctx, a, n < attempts)
		if err != nil {
			i.refused(a, err)
		}
		if !later {
			return
		}
		pause(ctx, again)
	}
}

// pause lets d pass, if ctx does not end before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refused tells of a mail that only the next hop has.
func (i *Receiver) refused(a arrival, err error) {
	i.log.Warn("mail to a report address was not taken in, the next hop has it", logkey.Session, a.session, logkey.Err, err)
}
