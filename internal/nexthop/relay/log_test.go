package relay

import (
	"bytes"
	"log/slog"

	"postern/internal/logkey"
)

// lines holds what is logged, without the time.
type lines struct{ bytes.Buffer }

func (l *lines) logger(hop *Hop) *slog.Logger {
	handler := slog.NewTextHandler(&l.Buffer, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	return slog.New(handler).With(slog.String(logkey.NextHop, hop.config.String()))
}
