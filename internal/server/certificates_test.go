package server

import (
	"crypto"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/smtpd"
	"postern/internal/testcert"
	"postern/internal/testlog"
	"postern/internal/web"
)

// A clock may be corrected after the start, by years, and a server may run for years.
func TestSelfSignedCertificateIsRenewedWhileTheServerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testlog.Log).Logger()
		c := &config.Config{Hostname: "mx.example.org", Data: t.TempDir()}
		s := &Server{config: c, log: log, smtp: smtpd.New(smtpd.Settings{}, nil, nil, log), web: web.New(web.Settings{}, log)}
		pairs, err := s.findPairs(c)
		if err != nil {
			t.Fatal(err)
		}
		aged := testcert.New(t, testcert.Options{Names: []string{c.Hostname, "localhost"}, NotAfter: time.Now().Add(90 * time.Minute)})
		copyPair(t, pairs[0], aged)
		if s.store, err = certs.Open(pairs, new(certs.Files), log); err != nil {
			t.Fatal(err)
		}
		go s.store.Watch(t.Context(), certificateInterval)
		stop, ended := make(chan os.Signal, 1), make(chan error)
		go func() { ended <- s.Run(nil, stop, nil) }()
		for _, after := range []struct {
			time  time.Duration
			valid bool // before the check of the next hour it has expired
		}{{80 * time.Minute, true}, {15 * time.Minute, false}, {30 * time.Minute, true}} {
			time.Sleep(after.time)
			synctest.Wait()
			leaf := s.Certificates()[0].Leaf
			if valid := time.Now().Before(leaf.NotAfter); valid != after.valid {
				t.Errorf("at %v the certificate is one until %v", time.Now(), leaf.NotAfter)
			}
			// TLSA records of the key stay valid.
			if key, _ := aged.TLS.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !key.Equal(leaf.PublicKey) {
				t.Error("the certificate has another key")
			}
		}
		stop <- syscall.SIGTERM
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func copyPair(t *testing.T, to certs.Pair, from *testcert.Pair) {
	t.Helper()
	for source, target := range map[string]string{from.CertFile: to.CertFile, from.KeyFile: to.KeyFile} {
		content, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(target, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
