package fleet

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"postern/internal/logkey"
)

// connect returns a connection, which may not be made yet, or nil when ctx ends. NATS' client tries again
// by itself, but not if it cannot read the credentials at its first attempt.
func (f *Fleet) connect(ctx context.Context) *nats.Conn {
	for {
		conn, err := nats.Connect("", f.options()...)
		if err == nil {
			if conn.IsConnected() {
				f.note(partConnection, nil)
			}
			return conn
		}
		f.note(partConnection, f.explain(err))
		timer := time.NewTimer(firstRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (f *Fleet) options() []nats.Option {
	server := f.places() // to which this host is, or was, connected; NATS' client calls one handler at a time
	connected := func(conn *nats.Conn) {
		if u, err := url.Parse(conn.ConnectedUrl()); err == nil && u.Host != "" { // else it is lost already
			server = u.Host
		}
		f.note(partConnection, nil)
	}
	return append(f.Access.options(),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // an operator corrects the account at the servers
		nats.ReconnectWait(firstRetry),
		nats.PingInterval(patience), nats.MaxPingsOutstanding(2), // a cable that was pulled
		nats.ReconnectBufSize(-1), // what is not sent now is sent again
		nats.ConnectHandler(connected),
		nats.ReconnectHandler(func(conn *nats.Conn) { f.beginAgain(); connected(conn) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else this host has closed the connection
				f.note(partConnection, fmt.Errorf("lost the connection to %s: %w", server, err))
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { f.note(partConnection, f.explain(err)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { f.hearError(err) }),
	)
}

// options are those with which any program of this host connects.
func (a Access) options() []nats.Option {
	options := []nats.Option{
		func(o *nats.Options) error { o.Servers = a.Servers; return nil },
		nats.Name("postern " + a.Name),
		nats.Timeout(patience),
	}
	if a.CA != "" {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}), nats.RootCAs(a.CA))
	}
	if a.Credentials != "" {
		options = append(options, nats.UserCredentials(a.Credentials))
	}
	return options
}

// hearError hears what the servers say without being asked.
func (f *Fleet) hearError(err error) {
	f.Log.Debug("fleet error", logkey.Err, err)
	switch {
	case isRefused(err): // the server closes the connection without another word
		f.note(partConnection, f.explain(err))
	case errors.Is(err, nats.ErrPermissionViolation):
		f.refused.hear(err)
	}
}

// refusals are what the servers said of requests that this host may not make. The only other answer to those is
// silence. They are safe for concurrent use.
type refusals struct {
	mu   sync.Mutex
	last error
	at   time.Time // of last
}

func (r *refusals) hear(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.at = err, time.Now()
}

// reason returns why something failed, for people: because of a refusal, if there was one just now.
func (r *refusals) reason(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.As(err, &ledgerError{}):
		return err
	case r.last != nil && !isAnswer(err) && time.Since(r.at) < 2*electionTime:
		return r.last
	case errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("too few NATS servers reach each other, or somebody deleted what is stored: %w", err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream is not enabled at the servers, or not ready: %w", err)
	}
	return err
}

// isRefused reports whether the servers do not let this host in. While it connects, what they say is a
// text.
func isRefused(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "authorization violation") || strings.Contains(text, "authentication expired") ||
		strings.Contains(text, "authentication revoked")
}

// explain says which servers do not answer, or which user they do not let in, if that is what err is about.
func (a Access) explain(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("%w: %s", err, a.places())
	case !isRefused(err):
		return err
	case a.Credentials == "":
		return fmt.Errorf("%w: the servers do not take the user and password in servers", err)
	}
	if expiry := expiry(a.Credentials); !expiry.IsZero() && !time.Now().Before(expiry) {
		return fmt.Errorf("%w: the user in %s has expired at %s", err, a.Credentials, expiry.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("%w: the servers do not take the user in %s", err, a.Credentials)
}

// places are the servers without users and passwords.
func (a Access) places() string {
	var places []string
	for _, server := range a.Servers {
		if u, err := url.Parse(server); err == nil {
			places = append(places, u.Host)
		}
	}
	return strings.Join(places, ", ")
}

// expiry returns when the user in a credentials file expires; zero if never, or if that cannot be read.
func expiry(file string) time.Time {
	content, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}
	}
	token, err := nkeys.ParseDecoratedJWT(content)
	parts := strings.Split(token, ".")
	if err != nil || len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(claims.Expires, 0)
}
