package acme

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"postern/internal/certs"
	"postern/internal/logkey"
)

// happened hears from certmagic. What it returns would not stop anything.
func (r *Renewer) happened(_ context.Context, event string, details map[string]any) error {
	host, _ := details["identifier"].(string)
	switch event {
	case "cert_obtained":
		if err := r.adopt(host); err != nil {
			r.failed(host, err)
		}
	case "cert_failed":
		err, _ := details["error"].(error)
		r.failed(host, err)
	}
	return nil
}

// maxReason bounds what an authority can write into the log, in characters.
const maxReason = 500

// failed says what an attempt in vain means for mail.
func (r *Renewer) failed(host string, err error) {
	reason := fmt.Sprintf("%.*v", maxReason, err)
	pair := r.pair(host)
	cert, missing := certs.Load(pair, time.Now())
	if missing != nil {
		r.log.Error("certificate was not obtained, mail goes on with another and this is tried again",
			logkey.Names, host, logkey.Err, reason)
		return
	}
	r.log.Warn("certificate was not renewed, mail goes on with the old one until it expires and this is tried again",
		logkey.Certificate, pair.CertFile, logkey.Names, host, logkey.Expires, cert.Leaf.NotAfter.UTC(), logkey.Err, reason)
}

// detailed is what certmagic and acmez say of each step, at DEBUG.
func detailed(log *slog.Logger) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{NameKey: "name", MessageKey: "message", ConsoleSeparator: " "})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(debugLines{log}), zap.InfoLevel))
}

// debugLines writes each line into the log.
type debugLines struct{ log *slog.Logger }

func (d debugLines) Write(line []byte) (int, error) {
	d.log.Debug("acme: " + string(bytes.TrimSpace(line)))
	return len(line), nil
}
