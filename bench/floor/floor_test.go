package main

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
)

// start serves on loopback and returns the address.
func start(t *testing.T, cert *testcert.Pair, newNext func() next) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go serve(listener, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}, newNext)
	return listener.Addr().String()
}

func TestEveryMessageIsAcknowledged(t *testing.T) {
	cert := testcert.New(t, testcert.Options{})
	discards := start(t, cert, func() next { return discard{} })
	relays := start(t, cert, func() next { return &relay{addr: discards} })
	for name, addr := range map[string]string{"discard": discards, "relay": relays} {
		t.Run(name, func(t *testing.T) {
			for _, resume := range []bool{false, true} {
				l := load.Load{Addr: addr, Certificate: cert.TLS.Leaf, Senders: 2, Messages: 3, Connections: 8, Resume: resume, Time: time.Second}
				tally, err := l.Run()
				if err != nil {
					t.Fatal(err)
				}
				if tally.Acknowledged != 24 {
					t.Errorf("%d messages acknowledged, want 24", tally.Acknowledged)
				}
			}
			if err := (load.Load{Addr: addr, Certificate: cert.TLS.Leaf}).SendLarge(1 << 20); err != nil {
				t.Error(err)
			}
		})
	}
}
