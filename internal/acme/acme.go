// Package acme obtains certificates from an authority and renews them, by the ACME
// protocol (RFC 8555).
//
//	renewer := acme.New(settings, log)
//	pairs := acme.Pairs(folder, hosts, files, log)  // the certificates so far, for package certs
//	go renewer.Run(ctx)
//	for range renewer.Changes() { … }        // Pairs returns new ones
//
// The web listener answers the authority's challenges: http-01 with the ChallengeHandler,
// tls-alpn-01 (RFC 8737) with the TLSConfig.
//
// # Failures
//
// A new certificate is verified, then replaces the old one together with its key, in one
// step. While the authority is down, or issues unusable certificates, the current one
// stays in use; each failed attempt is one line in the log, with the date on which it
// expires.
//
// # Several hosts
//
// With [Renewer.Share] the hosts of a fleet have one account and one certificate for a name. One of
// them orders it, and each answers the challenges of all.
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

// Settings are which certificates to obtain, and from which authority.
type Settings struct {
	Directory string   // URL of the authority's directory (RFC 8555, Section 7.1.1)
	Email     string   // contact for the authority; empty: none
	Hosts     []string // each gets its own certificate
	ReuseKey  bool     // a renewed certificate keeps the key, so that TLSA records stay valid (RFC 7671, Section 8.1)

	// Roots verify the authority's own server. Nil: the system's.
	Roots *x509.CertPool

	// HTTP and HTTPS are the addresses of the web listener that answers challenges,
	// host:port. At least one is required.
	HTTP, HTTPS string

	Folder string // of accounts, keys and certificates; created if missing
}

// A Renewer obtains and renews certificates.
type Renewer struct {
	settings Settings
	log      *slog.Logger
	issuer   *certmagic.ACMEIssuer
	config   *certmagic.Config
	cache    *certmagic.Cache
	changes  chan struct{}
}

// New returns a Renewer. It does not connect to the authority.
func New(settings Settings, log *slog.Logger) *Renewer {
	return newRenewer(settings, certmagic.DefaultRenewCheckInterval, log)
}

// newRenewer returns a Renewer that looks for due renewals every interval.
func newRenewer(settings Settings, interval time.Duration, log *slog.Logger) *Renewer {
	r := &Renewer{settings: settings, log: log, changes: make(chan struct{}, 1)}
	logger := debugLogger(log)
	r.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return r.config, nil },
		RenewCheckInterval: interval,
		Logger:             logger,
	})
	r.config = certmagic.New(r.cache, certmagic.Config{
		Storage:          &certmagic.FileStorage{Path: settings.Folder},
		ReusePrivateKeys: settings.ReuseKey,
		OCSP:             certmagic.OCSPConfig{DisableStapling: true}, // mail clients do not use it
		OnEvent:          r.handleEvent,
		Logger:           logger,
	})
	r.issuer = certmagic.NewACMEIssuer(r.config, certmagic.ACMEIssuer{
		CA:           settings.Directory,
		Email:        settings.Email,
		Agreed:       true,
		TrustedRoots: settings.Roots,
		Logger:       logger,
	})
	setChallengePorts(r.issuer, settings.HTTP, settings.HTTPS)
	r.config.Issuers = []certmagic.Issuer{&verifyingIssuer{r.issuer, r.issuer.Issue}}
	return r
}

// ChallengeHandler answers http-01 challenges (RFC 8555, Section 8.3).
func (r *Renewer) ChallengeHandler() http.Handler {
	return r.issuer.HTTPChallengeHandler(http.NotFoundHandler())
}

// TLSConfig returns a copy of base that also answers tls-alpn-01 challenges (RFC 8737,
// Section 3).
func (r *Renewer) TLSConfig(base *tls.Config) *tls.Config {
	config := base.Clone()
	config.NextProtos = append(config.NextProtos, acmez.ACMETLS1Protocol)
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
			return r.config.GetCertificate(hello)
		}
		return base.GetCertificate(hello)
	}
	return config
}

// Run obtains missing certificates and renews those that are due, until ctx is done. The
// web listener must be listening. It returns an error if it cannot use the folder.
func (r *Renewer) Run(ctx context.Context) error {
	defer r.cache.Stop()
	for _, host := range r.settings.Hosts {
		if err := r.recoverStored(host); err != nil {
			return err
		}
	}
	if err := r.config.ManageAsync(ctx, r.settings.Hosts); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Changes returns a channel that yields a value after a certificate was obtained, one for
// several in a row. It is for one reader.
func (r *Renewer) Changes() <-chan struct{} { return r.changes }

// setChallengePorts tells certmagic where challenges are answered. It tries to listen
// there itself, and continues if the address is in use.
func setChallengePorts(issuer *certmagic.ACMEIssuer, http, https string) {
	issuer.AltHTTPPort, issuer.AltTLSALPNPort = port(http), port(https)
	issuer.DisableHTTPChallenge = issuer.AltHTTPPort == 0
	issuer.DisableTLSALPNChallenge = issuer.AltTLSALPNPort == 0
	for _, address := range []string{http, https} {
		if at, err := netip.ParseAddrPort(address); err == nil && !at.Addr().IsUnspecified() {
			issuer.ListenHost = at.Addr().String()
		}
	}
}

// port returns the port of an address, 0 if there is none.
func port(address string) int {
	_, text, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(text)
	return n
}

// handleEvent is called by certmagic, which ignores an error for these events.
func (r *Renewer) handleEvent(_ context.Context, event string, details map[string]any) error {
	host, _ := details["identifier"].(string)
	switch event {
	case "cert_obtained":
		if err := r.adopt(host); err != nil {
			r.logFailure(host, err)
		}
	case "cert_failed":
		err, _ := details["error"].(error)
		r.logFailure(host, err)
	}
	return nil
}

// maxReason bounds what an authority can write to the log, in characters.
const maxReason = 500

// logFailure logs a failed attempt.
func (r *Renewer) logFailure(host string, err error) {
	reason := fmt.Sprintf("%.*v", maxReason, err)
	pair := r.pair(host)
	cert, missing := certs.LoadValid(pair, time.Now())
	if missing != nil {
		r.log.Error("cannot obtain certificate; retrying",
			logkey.Names, host, logkey.Err, reason)
		return
	}
	r.log.Warn("cannot renew certificate; retrying",
		logkey.Certificate, pair.CertFile, logkey.Names, host, logkey.Expires, cert.Leaf.NotAfter.UTC(), logkey.Err, reason)
}

// debugLogger returns a logger for certmagic and acmez that logs each step at DEBUG.
func debugLogger(log *slog.Logger) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{NameKey: "name", MessageKey: "message", ConsoleSeparator: " "})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(debugLines{log}), zap.InfoLevel))
}

// debugLines logs each line that is written to it.
type debugLines struct{ log *slog.Logger }

func (d debugLines) Write(line []byte) (int, error) {
	d.log.Debug("ACME step", logkey.Line, string(bytes.TrimSpace(line)))
	return len(line), nil
}
