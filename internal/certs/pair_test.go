package certs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/oserror"
	"postern/internal/testcert"
)

func TestLoadValidReturnsFileAndFault(t *testing.T) {
	good, other := made(t, false, "mx.example.org"), made(t, false, "mx.example.org")
	expired := testcert.New(t, testcert.Options{NotAfter: time.Now().Add(-time.Hour)})
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "file.pem")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	encrypted := file("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	legacy := file("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	empty := file("")
	for _, tt := range []struct {
		name, cert, key string
		at              string
		want            error
	}{
		{"no certificate file", missing, good.KeyFile, missing, fs.ErrNotExist},
		{"no key file", good.CertFile, missing, missing, fs.ErrNotExist},
		{"halves swapped", good.KeyFile, good.CertFile, good.KeyFile, certs.ErrNoCertificate},
		{"certificate for key", good.CertFile, good.CertFile, good.CertFile, certs.ErrNoKey},
		{"other key", good.CertFile, other.KeyFile, other.KeyFile, certs.ErrMismatch},
		{"encrypted key", good.CertFile, encrypted, encrypted, certs.ErrEncrypted},
		{"encrypted key, RFC 1421", good.CertFile, legacy, legacy, certs.ErrEncrypted},
		{"expired", expired.CertFile, expired.KeyFile, expired.CertFile, certs.ErrExpired},
		{"empty", empty, good.KeyFile, empty, certs.ErrNoCertificate},
		{"a device", os.DevNull, good.KeyFile, os.DevNull, oserror.ErrNotRegular},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := certs.LoadValid(certs.Pair{CertFile: tt.cert, KeyFile: tt.key}, time.Now())
			var fault *certs.Error
			if !errors.As(err, &fault) || !errors.Is(err, tt.want) || fault.File != tt.at {
				t.Fatalf("got %v, want %v at %s", err, tt.want, tt.at)
			}
			if fault.Remedy() == "" {
				t.Error("no remedy")
			}
		})
	}
}

func TestLoadValidRefusesCertificateThatIsNotValidYet(t *testing.T) {
	pair := made(t, false, "mx.example.org")
	_, err := certs.LoadValid(pair, time.Now().Add(-72*time.Hour))
	if !errors.Is(err, certs.ErrNotYetValid) {
		t.Errorf("got %v, want %v", err, certs.ErrNotYetValid)
	}
}

func TestLoadIgnoresDates(t *testing.T) {
	expired := testcert.New(t, testcert.Options{NotAfter: time.Now().Add(-time.Hour)})
	cert, err := certs.Load(certs.Pair{CertFile: expired.CertFile, KeyFile: expired.KeyFile})
	if err != nil || cert.Leaf == nil {
		t.Errorf("got %v, want the expired certificate", err)
	}
}

func TestLoadNamesBrokenFile(t *testing.T) {
	pair := made(t, false, "mx.example.org")
	broken := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(broken, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := certs.Load(certs.Pair{CertFile: broken, KeyFile: pair.KeyFile})
	var fault *certs.Error
	if !errors.As(err, &fault) || fault.File != broken {
		t.Errorf("got %v, want one about %s", err, broken)
	}
}
