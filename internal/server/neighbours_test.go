package server

import (
	"crypto/tls"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/sessionticket"
)

// A program that refuses the certificate without an alert, and one on the same host with the same
// TLS library that does not mind it. The second keeps TLS 1.3 and its session tickets, but for
// one connection at most.
func TestRefusedCertificatesCostANeighbourNothing(t *testing.T) {
	for _, first := range []sessionticket.Mode{sessionticket.OwnWrite, sessionticket.FirstWrite, sessionticket.Stock} {
		t.Run(first.String(), func(t *testing.T) {
			t.Parallel()
			b := startBench(t, benchOptions{first: first, pair: testcert.New(t, testcert.Options{})})
			older := 0
			for n := range 24 {
				if n%3 < 2 { // so that the trial of TLS 1.2 falls to the other one
					b.attempt(t, "", "", func() string { refuse(t, b.addr, true); return "" })
					continue
				}
				b.attempt(t, "", "", func() string {
					base, err := dial(b.addr, "app.test")
					if err != nil {
						t.Fatal(err)
					}
					defer base.Close()
					conn := tls.Client(base, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
					conn.SetDeadline(time.Now().Add(time.Minute))
					if !say(conn, "EHLO app.test", "NOOP", "QUIT") {
						t.Error("the healthy program failed")
					}
					if conn.ConnectionState().Version != tls.VersionTLS13 {
						older++
					}
					return healthy
				})
			}
			fingerprints := b.attempts.senders.Len()
			if older > 1 || fingerprints != 1 {
				t.Errorf("%d of 8 handshakes were in TLS 1.2; %d fingerprints, want one", older, fingerprints)
			}
		})
	}
}
