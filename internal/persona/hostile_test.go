package persona_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// endless sends text until the connection is closed.
func endless(conn net.Conn, text string) {
	chunk := bytes.Repeat([]byte(text), 100)
	for {
		if _, err := conn.Write(chunk); err != nil {
			return
		}
	}
}

func TestEndlessRepliesEndAtTheLimits(t *testing.T) {
	hear := func(conn net.Conn) { conn.Read(make([]byte, 512)) }
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		stage persona.Stage
		want  string
	}{
		{"greeting", func(c net.Conn) { endless(c, "220-more\r\n") }, persona.AtGreeting, "more than 100 lines"},
		{"line", func(c net.Conn) { endless(c, "220") }, persona.AtGreeting, "more than 2048 bytes"},
		{"EHLO reply", func(c net.Conn) {
			io.WriteString(c, "220 hi\r\n")
			hear(c)
			endless(c, "250-STARTTLS\r\n")
		}, persona.AtEHLO, "more than 100 lines"},
		{"handshake", func(c net.Conn) {
			io.WriteString(c, "220 hi\r\n")
			hear(c)
			io.WriteString(c, "250 STARTTLS\r\n")
			hear(c)
			io.WriteString(c, "220 go\r\n")
			go io.Copy(io.Discard, c)
			endless(c, "\x16\x03\x03\x00\x04\x0b\xff\xff\xff")
		}, persona.AtHandshake, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range []string{"healthy-go", "healthy-openssl", "early-ticket"} {
				v := find(t, id).Run(t.Context(), serving(tt.serve))
				if v.Completed || v.Stage != tt.stage || v.Err == nil || !strings.Contains(v.Err.Error(), tt.want) {
					t.Errorf("%s: %v at %v, want %q", id, v.Err, v.Stage, tt.want)
				}
				if lines := len(v.Greeting) + len(v.EHLO); lines > 200 {
					t.Errorf("%s: kept %d lines", id, lines)
				}
			}
		})
	}
}

func TestEndlessRepliesOverTLSEndAtTheLimits(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	serve := func(say string) func(net.Conn) {
		return func(conn net.Conn) {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair.TLS}})
			endless(secure, say)
		}
	}
	for say, want := range map[string]string{"220-more\r\n": "more than 100 lines", "2": "more than 2048 bytes"} {
		at := serving(serve(say))
		at.Protocol = persona.SMTPS
		if v := find(t, "healthy-go").Run(t.Context(), at); v.Completed || v.Err == nil || !strings.Contains(v.Err.Error(), want) {
			t.Errorf("%q: %v, want %q", say, v.Err, want)
		}
	}
}

func TestCertificateChainIsLimited(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, tt := range []struct {
		size int // of the chain, in KiB
		in   bool
	}{{100, true}, {400, false}} {
		chain := pair.TLS
		for len(chain.Certificate)*len(chain.Certificate[0]) < tt.size<<10 {
			chain.Certificate = append(chain.Certificate, chain.Certificate[0])
		}
		s := &server{config: &tls.Config{Certificates: []tls.Certificate{chain}}}
		at := target(s.start(t))
		for _, id := range []string{"healthy-go", "healthy-openssl", "early-ticket"} {
			if v := find(t, id).Run(t.Context(), at); v.Completed != tt.in || v.Completed != (v.Err == nil) {
				t.Errorf("%s: a chain of %d KiB: completed %v, %v", id, tt.size, v.Completed, v.Err)
			}
		}
	}
}

// A server that sends a byte a second is abandoned after the persona's own timeout or the
// caller's.
func TestSlowServerIsAbandoned(t *testing.T) {
	for name, text := range map[string]string{
		"greeting": strings.Repeat("2", 1000), "nothing": "",
	} {
		for wait, want := range map[time.Duration]time.Duration{time.Hour: 45 * time.Second, 7 * time.Second: 7 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				start, gone := time.Now(), make(chan struct{})
				v := find(t, "healthy-go").Run(ctx, serving(func(conn net.Conn) {
					defer close(gone)
					for i := range text {
						if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
					conn.Read(make([]byte, 1))
				}))
				defer func() { <-gone }()
				if took := time.Since(start); took != want || v.Err == nil || !strings.Contains(v.Err.Error(), "no answer in time") {
					t.Errorf("%s, %v: ended after %v with %v", name, wait, took, v.Err)
				}
			})
		}
	}
}

func TestServerThatStallsInTheHandshakeIsAbandoned(t *testing.T) {
	for _, id := range []string{"healthy-go", "healthy-openssl", "big-hello-bytes", "plaintext-after-starttls"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			at := serving(func(conn net.Conn) {
				io.WriteString(conn, "220 ")
				io.Copy(io.Discard, conn)
			})
			at.Protocol = persona.SMTPS
			v := find(t, id).Run(t.Context(), at)
			if took := time.Since(start); took != 45*time.Second || v.Stage != persona.AtHandshake {
				t.Errorf("%s: ended after %v at %v with %v", id, took, v.Stage, v.Err)
			}
			if v.Transcript == nil || v.Transcript.End.Kind.String() != "timed_out" {
				t.Errorf("%s: the transcript ends with %v", id, v.Transcript.End)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := find(t, "healthy-go").Run(ctx, serving(func(conn net.Conn) {
		cancel()
		conn.Read(make([]byte, 1))
	}))
	if v.Completed || v.Err == nil || !strings.Contains(v.Err.Error(), "context canceled") {
		t.Errorf("%v", v.Err)
	}
}
