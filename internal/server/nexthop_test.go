package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/nexthop/relay"
)

// A sender that does not see SMTPUTF8 in the EHLO reply has to bounce such a message, so
// the next hop's extensions must be known soon after it starts.
func TestServerProbesNextHopUntilItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		hop := relay.New(relay.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			if asked++; asked < 3 {
				return nil, errors.New("connection refused")
			}
			ours, theirs := net.Pipe()
			go offerUTF8(theirs)
			return ours, nil
		}}, "mx.example.org", nil)
		go probeNextHop(t.Context(), hop, slog.New(slog.DiscardHandler))
		time.Sleep(time.Hour)
		if !hop.Extensions().SMTPUTF8 || asked != 3 {
			t.Errorf("asked %d times, knows %+v; want SMTPUTF8 after 3", asked, hop.Extensions())
		}
	})
}

// offerUTF8 is a server that answers EHLO and QUIT.
func offerUTF8(conn net.Conn) {
	defer conn.Close()
	for _, reply := range []string{"220 backend\r\n", "250-backend\r\n250 SMTPUTF8\r\n", "221 bye\r\n"} {
		io.WriteString(conn, reply)
		conn.Read(make([]byte, 1024))
	}
}
