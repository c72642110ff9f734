package tlsrptin

import (
	"context"
	"errors"
	"io"
	"time"

	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// takeTime bounds the wait for a signer's DNS server and for the disk, well below the 10
// minutes that senders wait (RFC 5321, Section 4.5.3.2.6).
const takeTime = time.Minute

// now takes a mail in that goes nowhere else.
func (i *Intake) now(copied *copying, a arrival) smtp.Reply {
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
func (i *Intake) replyTo(a arrival, err error) smtp.Reply {
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
