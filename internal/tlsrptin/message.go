package tlsrptin

import (
	"cmp"
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

// A message is a message to a report address. It must be released.
type message struct {
	*buffer
	session string
	client  netip.Addr
	at      time.Time
}

func (rc *Receiver) newMessage(sender nexthop.Sender) message {
	client := sender.Addr.Addr()
	return message{rc.mail.buffer(client, tlsrpt.MaxMailSize), sender.SessionID, client, time.Now()}
}

// storeMail verifies, parses and stores the report of a message. With mayRetry, it does
// not store it if a DKIM key cannot be looked up now, and returns true.
func (rc *Receiver) storeMail(ctx context.Context, m message, mayRetry bool) (retry bool, err error) {
	busy := rc.reading.do(ctx, m.from, func() {
		defer m.rest()
		var content []byte
		if content, err = m.use(); err != nil {
			return
		}
		received := receipt{at: m.at}
		begun := time.Now()
		signed := lookUpKeys(ctx, rc.keys, content, received)
		took := time.Since(begun)
		busy := rc.parsing.do(ctx, m.from, func() {
			begun := time.Now()
			signatures := signed.Verify()
			if took += time.Since(begun); rc.verified != nil {
				rc.verified(took)
			}
			var r ledger.Report
			r, retry, err = parseMail(content, signatures, received)
			if retry = retry && mayRetry; err == nil && !retry {
				r.Via, r.Session, r.Address, r.At = ledger.ByMail, m.session, m.client, m.at
				warnIfInFuture(&r)
				_, err = rc.add(ctx, r)
			}
		})
		err = cmp.Or(busy, err)
	})
	err = cmp.Or(busy, err)
	return retry && err == nil, err
}

// storeNowTimeout bounds the wait for DNS, other messages and the disk, well below the 10
// minutes that senders wait for a reply (RFC 5321, Section 4.5.3.2.6).
const storeNowTimeout = time.Minute

// storeNow stores a message that is not sent to the next hop.
func (rc *Receiver) storeNow(copied *copyReader, m message) smtp.Reply {
	defer m.release()
	if _, err := io.Copy(io.Discard, copied); err != nil {
		return smtp.NewReply(451, "4.3.0", "message is incomplete")
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeNowTimeout)
	defer cancel()
	retry, err := rc.storeMail(ctx, m, true)
	if err == nil && retry { // RFC 6376, Section 6.3: stored now, the report would stay unverified
		return smtp.NewReply(451, "4.7.5", "cannot look up the DKIM key of the report, try again later")
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
	case errors.Is(err, errTooSlow):
		return smtp.NewReply(451, "4.4.2", "report "+errTooSlow.Error()+", try again later")
	}
	rc.log.Warn("cannot store TLS report; sender will retry", logkey.Session, m.session, logkey.Err, err)
	return smtp.NewReply(451, "4.3.0", "cannot store report, try again later")
}

// storeLater stores the report of a message that the next hop has accepted, without waiting
// for that.
func (rc *Receiver) storeLater(m message) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.closed {
		m.release()
		rc.logNotStored(m, errStopping)
		return
	}
	m.deadline.Stop() // it has arrived
	rc.pending.Go(func() { rc.process(m) })
}

// A DKIM key that cannot be looked up is tried again: the next hop has the message.
const (
	keyAttempts = 3
	keyRetry    = time.Minute
)

// process stores the report of a message, and logs why it cannot.
func (rc *Receiver) process(m message) {
	defer m.release()
	defer func() { // a bug in a parser must not stop the server
		if cause := recover(); cause != nil {
			rc.logNotStored(m, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		}
	}()
	for n := 1; ; n++ {
		retry, err := rc.storeMail(rc.running, m, n < keyAttempts)
		switch {
		case err != nil && rc.running.Err() != nil:
			rc.logNotStored(m, errStopping)
		case err != nil:
			rc.logNotStored(m, err)
		}
		if !retry {
			return
		}
		sleep(rc.running, keyRetry)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (rc *Receiver) logNotStored(m message, err error) {
	rc.log.Warn("report mail not stored; next hop has it", logkey.Session, m.session, logkey.Err, err)
}
