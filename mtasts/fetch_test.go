package mtasts_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testcert"
	. "postern/mtasts"
)

const policyName = "mta-sts.example.com"

func TestFetchGetsThePolicy(t *testing.T) {
	client := serve(t, policyName, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Host != policyName || r.URL.String() != "/.well-known/mta-sts.txt" {
			t.Errorf("asked for %s %s%s", r.Method, r.Host, r.URL)
		}
		answer(w, "text/plain; charset=utf-8", acceptedPolicies[0])
	})
	for _, domain := range []string{"example.com", "Example.COM."} {
		p, err := Fetch(t.Context(), client, domain)
		if err != nil || p.Mode != Enforce || !p.Matches("mx.example.net") {
			t.Errorf("%s: %+v, %v", domain, p, err)
		}
	}
}

func TestFetchRefuses(t *testing.T) {
	for fault, handler := range map[string]http.HandlerFunc{
		"status \"302 Found\"": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/mta-sts.txt" {
				t.Errorf("followed a redirect to %s", r.URL)
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		"status \"404 Not Found\"":   http.NotFound,
		"content type \"text/html\"": func(w http.ResponseWriter, _ *http.Request) { answer(w, "text/html", acceptedPolicies[0]) },
		"content type \"\"":          func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; w.Write(nil) },
		"65536 at most": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "text/plain", strings.Repeat("a", 1<<20))
		},
		"no version": func(w http.ResponseWriter, _ *http.Request) { answer(w, "text/plain", "") },
	} {
		p, err := Fetch(t.Context(), serve(t, policyName, handler), "example.com")
		if p != nil || err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%+v, error %v, want one that says %q", p, err, fault)
		}
	}
}

// A server that never stops sending costs a fetch one byte more than a policy may have.
func TestFetchReadsNoMoreThanAPolicyMayHave(t *testing.T) {
	endless := &endlessBody{}
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: endless}, nil
	})}
	_, err := Fetch(t.Context(), client, "example.com")
	if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "65537 bytes: senders read 65536 at most") {
		t.Error(err)
	}
	if endless.read != 65537 || !endless.closed {
		t.Errorf("read %d bytes, closed %v", endless.read, endless.closed)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type endlessBody struct {
	read   int
	closed bool
}

func (b *endlessBody) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	b.read += len(p)
	return len(p), nil
}

func (b *endlessBody) Close() error {
	b.closed = true
	return nil
}

// Section 3.3 of RFC 8461: a policy must not depend on who asks.
func TestFetchSendsAndKeepsNoCookies(t *testing.T) {
	client := serve(t, policyName, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Errorf("sent %v", r.Cookies())
		}
		http.SetCookie(w, &http.Cookie{Name: "track", Value: "1"})
		answer(w, "text/plain", acceptedPolicies[0])
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	server := &url.URL{Scheme: "https", Host: policyName, Path: "/"}
	jar.SetCookies(server, []*http.Cookie{{Name: "mine", Value: "1"}})
	client.Jar = jar
	if _, err := Fetch(t.Context(), client, "example.com"); err != nil {
		t.Fatal(err)
	}
	if kept := jar.Cookies(server); len(kept) != 1 || kept[0].Name != "mine" {
		t.Errorf("kept %v", kept)
	}
}

func TestFetchRefusesACertificateForAnotherName(t *testing.T) {
	client := serve(t, "example.com", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "text/plain", acceptedPolicies[0])
	})
	_, err := Fetch(t.Context(), client, "example.com")
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) || errors.Is(err, ErrSyntax) {
		t.Errorf("%v", err)
	}
}

func TestFetchTakesNoURLForADomain(t *testing.T) {
	client := &http.Client{Transport: dialling(func(network, address string) (net.Conn, error) {
		t.Errorf("connected to %s", address)
		return nil, net.ErrClosed
	})}
	for _, domain := range []string{"", ".", "a/b", "a@b.example", "a:25", "a b", "a\r\nHost: b", "[::1]"} {
		if _, err := Fetch(t.Context(), client, domain); err == nil {
			t.Errorf("%q: no error", domain)
		}
	}
}

func TestFetchWaitsAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		start := time.Now()
		_, err := Fetch(t.Context(), &http.Client{Transport: dialling(func(string, string) (net.Conn, error) {
			go func() { // a server that takes everything and says nothing
				for buffer := make([]byte, 1024); ; {
					if _, err := server.Read(buffer); err != nil {
						return
					}
				}
			}()
			return client, nil
		})}, "example.com")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func answer(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Write([]byte(body))
}

// serve starts a server with a certificate for name, and gives a client that reaches it under any.
func serve(t *testing.T, name string, handler http.HandlerFunc) *http.Client {
	t.Helper()
	pair := testcert.New(t, testcert.Options{Names: []string{name}})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that refuses the certificate is the test's
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := dialling(func(network, _ string) (net.Conn, error) {
		return net.Dial(network, server.Listener.Addr().String())
	})
	transport.TLSClientConfig = &tls.Config{RootCAs: pair.Pool}
	return &http.Client{Transport: transport}
}

func dialling(dial func(network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
		return dial(network, address)
	}}
}
