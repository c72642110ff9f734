package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/certs"
)

// A story is a Renewer whose authority answers when the test says so, and how.
type story struct {
	*Renewer
	t       *testing.T
	host    string
	stop    func()
	answers chan answer
	said    chan string // lines of the log
}

// An answer is a certificate with so much left of three hours, and what is wrong with it.
type answer struct {
	left   time.Duration
	change func(template *x509.Certificate, public *any)
	err    error
}

// A certificate's life that is due for renewal, and one that is not.
const (
	spent = 30 * time.Minute
	fresh = 3 * time.Hour
)

// hosts counts: certmagic remembers for each name of the process what failed.
var hosts atomic.Int32

func start(t *testing.T, settings Settings) *story {
	t.Helper()
	s := prepare(t, settings)
	s.run()
	return s
}

// prepare returns a story that does not run yet.
func prepare(t *testing.T, settings Settings) *story {
	t.Helper()
	s := &story{t: t, answers: make(chan answer), said: make(chan string, 1000)}
	if settings.Folder == "" {
		settings.Folder = filepath.Join(folder(t), "acme")
		settings.Hosts = []string{fmt.Sprintf("mx%d.example.org", hosts.Add(1))}
	}
	s.host, settings.Directory = settings.Hosts[0], "https://authority.example/dir"
	s.Renewer = newRenewer(settings, 20*time.Millisecond, slog.New(slog.NewTextHandler(s, nil)))
	s.config.DisableARI = true
	s.config.Issuers = []certmagic.Issuer{&verifyingIssuer{s.issuer, s.sign}}
	return s
}

func (s *story) run() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = func() { cancel(); running.Wait() }
	s.t.Cleanup(s.stop)
}

// folder returns a new folder that is removed when the test has ended. An order of certmagic
// that was cancelled may still remove its lock then, which [testing.T.TempDir] does not wait for.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for os.RemoveAll(dir) != nil {
			runtime.Gosched()
		}
	})
	return dir
}

// Write takes a line of the log.
func (s *story) Write(line []byte) (int, error) {
	s.said <- string(line)
	return len(line), nil
}

func (s *story) sign(ctx context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	var a answer
	select {
	case a = <-s.answers:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	expires := time.Now().Add(a.left)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		DNSNames:     request.DNSNames,
		NotBefore:    expires.Add(-fresh),
		NotAfter:     expires,
	}
	public := any(request.PublicKey)
	if a.change != nil {
		a.change(template, &public)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, newKey(s.t))
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	return key
}

// answer makes the authority answer the next order.
func (s *story) answer(a answer) {
	s.t.Helper()
	select {
	case s.answers <- a:
	case <-time.After(time.Minute):
		s.t.Fatal("nothing was ordered")
	}
}

// obtain lets the authority sign, and returns the certificate once it is stored.
func (s *story) obtain(left time.Duration) *tls.Certificate {
	s.t.Helper()
	s.answer(answer{left: left})
	select {
	case <-s.Changes():
	case <-time.After(time.Minute):
		s.t.Fatal("no certificate comes")
	}
	return s.certificate()
}

func (s *story) certificate() *tls.Certificate {
	s.t.Helper()
	cert, err := certs.LoadValid(s.pair(s.host), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

// waitLog waits for a line of the log.
func (s *story) waitLog(text string) string {
	s.t.Helper()
	for {
		select {
		case line := <-s.said:
			if strings.Contains(line, text) {
				return line
			}
		case <-time.After(time.Minute):
			s.t.Fatalf("the log does not say %q", text)
		}
	}
}

func sameKey(a, b *tls.Certificate) bool {
	return a.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(b.Leaf.PublicKey)
}

func TestCertificateIsRenewedInTime(t *testing.T) {
	for name, reuse := range map[string]bool{"with the same key": true, "with another key": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Settings{ReuseKey: reuse})
			first := s.obtain(spent)
			second := s.obtain(fresh)
			if !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
				t.Errorf("it is valid until %v, and was until %v", second.Leaf.NotAfter, first.Leaf.NotAfter)
			}
			if sameKey(first, second) != reuse {
				t.Errorf("the key is the same: %v, want %v", !reuse, reuse)
			}
		})
	}
}

func TestFailedRenewalKeepsOldCertificate(t *testing.T) {
	for name, tt := range map[string]struct {
		answer
		why string
	}{
		"it is down":       {answer{err: errors.New("connection refused")}, "connection refused"},
		"other host":       {answer{left: fresh, change: func(c *x509.Certificate, _ *any) { c.DNSNames = []string{"mx.example.com"} }}, "not mx"},
		"other key":        {answer{left: fresh, change: func(_ *x509.Certificate, key *any) { *key = newKey(t).Public() }}, "for another key"},
		"expired":          {answer{left: -time.Second}, "certificate expired on"},
		"not yet valid":    {answer{left: 4 * time.Hour}, "check the clock"},
		"without any name": {answer{left: fresh, change: func(c *x509.Certificate, _ *any) { c.DNSNames = nil }}, "not valid for any names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Settings{})
			until := s.obtain(spent).Leaf.NotAfter
			before, err := os.ReadFile(s.pair(s.host).CertFile)
			if err != nil {
				t.Fatal(err)
			}
			s.answer(tt.answer)
			line := s.waitLog("cannot renew certificate")
			for _, want := range []string{s.host, "expires=" + until.UTC().Format(time.RFC3339)[:19], tt.why} {
				if !strings.Contains(line, want) {
					t.Errorf("the line lacks %q: %s", want, line)
				}
			}
			if after, err := os.ReadFile(s.pair(s.host).CertFile); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file has changed (%v)", err)
			}
		})
	}
}

func TestGarbageIsNotACertificate(t *testing.T) {
	request := &x509.CertificateRequest{PublicKey: newKey(t).Public()}
	for _, chain := range []string{"", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if verify([]byte(chain), request, time.Now()) == nil {
			t.Errorf("%q is accepted", chain)
		}
	}
}

func TestMissingFirstCertificateIsLogged(t *testing.T) {
	s := start(t, Settings{})
	s.answer(answer{err: errors.New("rate limited, " + strings.Repeat("x", 1<<20))})
	line := s.waitLog("cannot obtain certificate")
	if !strings.Contains(line, "rate limited") || len(line) > 2*maxReason {
		t.Errorf("%d bytes: %.1000s", len(line), line)
	}
	if pairs := Pairs(s.settings.Folder, s.settings.Hosts, nil, s.log); len(pairs) != 0 {
		t.Errorf("there is %v", pairs)
	}
}

// A process may stop between the two files of certmagic.
func TestStopWhileStoringLosesNothing(t *testing.T) {
	s := start(t, Settings{})
	first := s.obtain(fresh)
	s.stop()
	settings, stored := s.settings, s.stored(s.host)

	t.Run("before adopting", func(t *testing.T) {
		if err := os.Remove(s.pair(s.host).CertFile); err != nil {
			t.Fatal(err)
		}
		again := start(t, settings)
		select {
		case <-again.Changes():
		case <-time.After(time.Minute):
			t.Fatal("not adopted")
		}
		if !again.certificate().Leaf.Equal(first.Leaf) {
			t.Error("adopted another one")
		}
		again.stop()
	})
	t.Run("beside the key of another", func(t *testing.T) {
		other, err := certmagic.PEMEncodePrivateKey(newKey(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stored.KeyFile, other, 0o600); err != nil {
			t.Fatal(err)
		}
		again := start(t, settings)
		if pairs := Pairs(again.settings.Folder, again.settings.Hosts, nil, again.log); len(pairs) != 1 || !again.certificate().Leaf.Equal(first.Leaf) {
			t.Errorf("there is %v", pairs)
		}
		if second := again.obtain(fresh); second.Leaf.Equal(first.Leaf) {
			t.Error("nothing was ordered")
		}
	})
}

func TestOnlyOwnerCanReadKeys(t *testing.T) {
	s := start(t, Settings{})
	s.obtain(fresh)
	s.stop()
	if info, err := os.Stat(s.settings.Folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	keys := 0
	err := fs.WalkDir(os.DirFS(s.settings.Folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".lock" { // one may be going
			return err
		}
		info, err := entry.Info()
		content, unreadable := os.ReadFile(filepath.Join(s.settings.Folder, path))
		if bytes.Contains(content, []byte("PRIVATE KEY")) {
			keys++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", path, info.Mode())
			}
		}
		return errors.Join(err, unreadable)
	})
	if err != nil || keys != 2 {
		t.Errorf("%d keys, %v", keys, err)
	}
}

// Only challenges that the authority has sent are answered.
func TestUnknownChallengesAreNotAnswered(t *testing.T) {
	s := start(t, Settings{})
	w := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "http://"+s.host+"/.well-known/acme-challenge/token", nil)
	s.ChallengeHandler().ServeHTTP(w, request)
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	config := s.TLSConfig(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
	if cert, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: s.host, SupportedProtos: []string{"acme-tls/1"}, Conn: ours}); err == nil {
		t.Errorf("got %v", cert)
	}
}
