// Package acme has an authority sign certificates, and sign them anew in time, by
// the ACME protocol (RFC 8555).
//
//	renewer := acme.New(settings, log)
//	pairs := acme.Pairs(folder, hosts, log)  // those there are, for package certs
//	go renewer.Run(ctx)
//	for range renewer.Changes() { … }        // then Pairs gives others
//
// It answers the authority's challenges through the web listener: http-01 by
// Challenges, tls-alpn-01 (RFC 8737) by the configuration of TLS.
//
// # What is never lost
//
// A certificate takes the place of another when it has been looked at, with its key, in
// one step. An authority that is down, or answers nonsense, changes nothing: what there
// is stays in use, and each failed attempt is one line in the log that says until when.
//
// # Concurrency
//
// A Renewer is safe for concurrent use. Run is called once.
package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"postern/internal/certs"
	"postern/internal/logkey"
)

// Settings say what to ask of whom.
type Settings struct {
	Directory string   // the URL where the authority's services are listed (RFC 8555, Section 7.1.1)
	Email     string   // where the authority writes to; empty: nowhere
	Hosts     []string // each gets a certificate of its own
	ReuseKey  bool     // a renewed certificate keeps its key, for TLSA records of it (RFC 7671, Section 8.1)

	// Roots are trusted of the authority's own server. Nil: the system's.
	Roots *x509.CertPool

	// HTTP and HTTPS are addresses of the web listener, host:port, at which challenges
	// are answered. At least one is needed.
	HTTP, HTTPS string

	Folder string // of accounts, keys and certificates; it is made if missing
}

// A Renewer keeps certificates valid.
type Renewer struct {
	settings Settings
	log      *slog.Logger
	issuer   *certmagic.ACMEIssuer
	config   *certmagic.Config
	cache    *certmagic.Cache
	changes  chan struct{}
}

// New prepares a Renewer. It does not ask the authority anything.
func New(settings Settings, log *slog.Logger) *Renewer {
	return newRenewer(settings, certmagic.DefaultRenewCheckInterval, log)
}

// newRenewer makes one that looks every interval whether a certificate is due.
func newRenewer(settings Settings, interval time.Duration, log *slog.Logger) *Renewer {
	r := &Renewer{settings: settings, log: log, changes: make(chan struct{}, 1)}
	logger := detailed(log)
	r.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return r.config, nil },
		RenewCheckInterval: interval,
		Logger:             logger,
	})
	r.config = certmagic.New(r.cache, certmagic.Config{
		Storage:          &certmagic.FileStorage{Path: settings.Folder},
		ReusePrivateKeys: settings.ReuseKey,
		OCSP:             certmagic.OCSPConfig{DisableStapling: true}, // no mail client asks for it
		OnEvent:          r.happened,
		Logger:           logger,
	})
	r.issuer = certmagic.NewACMEIssuer(r.config, certmagic.ACMEIssuer{
		CA:           settings.Directory,
		Email:        settings.Email,
		Agreed:       true,
		TrustedRoots: settings.Roots,
		Logger:       logger,
	})
	listenAt(r.issuer, settings.HTTP, settings.HTTPS)
	r.config.Issuers = []certmagic.Issuer{newChecked(r.issuer)}
	return r
}

// Challenges answers those of http-01 (RFC 8555, Section 8.3).
func (r *Renewer) Challenges() http.Handler {
	return r.issuer.HTTPChallengeHandler(http.NotFoundHandler())
}

// Answering is base, made to answer the challenges of tls-alpn-01 (RFC 8737,
// Section 3) besides. It does not change base.
func (r *Renewer) Answering(base *tls.Config) *tls.Config {
	answering := base.Clone()
	answering.NextProtos = append(answering.NextProtos, acmez.ACMETLS1Protocol)
	answering.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
			return r.config.GetCertificate(hello)
		}
		return base.GetCertificate(hello)
	}
	return answering
}

// Run obtains the certificates that are missing and renews those that are due, until
// ctx ends. The web listener must be listening. The error is of the folder.
func (r *Renewer) Run(ctx context.Context) error {
	defer r.cache.Stop()
	for _, host := range r.settings.Hosts {
		if err := r.settle(host); err != nil {
			return err
		}
	}
	if err := r.config.ManageAsync(ctx, r.settings.Hosts); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Changes gives a value after a certificate was obtained, one for several in a row.
// It is for one reader.
func (r *Renewer) Changes() <-chan struct{} { return r.changes }

// listenAt says where challenges are answered. certmagic would listen there itself,
// and does without when it finds the address taken.
func listenAt(issuer *certmagic.ACMEIssuer, http, https string) {
	issuer.AltHTTPPort, issuer.AltTLSALPNPort = port(http), port(https)
	issuer.DisableHTTPChallenge = issuer.AltHTTPPort == 0
	issuer.DisableTLSALPNChallenge = issuer.AltTLSALPNPort == 0
	for _, address := range []string{http, https} {
		if at, err := netip.ParseAddrPort(address); err == nil && !at.Addr().IsUnspecified() {
			issuer.ListenHost = at.Addr().String()
		}
	}
}

// port gives 0 where there is none.
func port(address string) int {
	_, text, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(text)
	return n
}

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
