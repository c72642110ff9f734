package tlsrptin

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"postern/internal/logkey"
)

// An arrival is a mail that the next hop has taken too.
type arrival struct {
	*held
	session string
	from    netip.Addr
	at      time.Time
}

// later takes a mail in when the next hop has it already. It never waits.
func (i *Intake) later(a arrival) {
	select {
	case i.queue <- a:
	default:
		a.free()
		i.refused(a, errBusy)
	}
}

func (i *Intake) work(ctx context.Context) {
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

func (i *Intake) tend(ctx context.Context, a arrival) {
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
func (i *Intake) refused(a arrival, err error) {
	i.log.Warn("mail to a report address was not taken in, the next hop has it", logkey.Session, a.session, logkey.Err, err)
}
