package certs_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
)

func selfSigned(t *testing.T, dir, hostname string, log *bytes.Buffer) []*tls.Certificate {
	t.Helper()
	pairs, err := certs.SelfSigned(dir, hostname, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return open(t, pairs...).Certificates()
}

func samePublic(a, b *tls.Certificate) bool {
	return a.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(b.Leaf.PublicKey)
}

func TestSelfSignedIsCreatedOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "tls")
	var log bytes.Buffer
	first := selfSigned(t, dir, "mx.example.org", &log)
	if n := strings.Count(log.String(), "created self-signed certificate"); n != 2 {
		t.Errorf("%d certificates were created, want 2:\n%s", n, &log)
	}
	for i, kind := range []string{"ECDSA", "RSA"} {
		leaf := first[i].Leaf
		if leaf.PublicKeyAlgorithm.String() != kind || !slices.Equal(leaf.DNSNames, []string{"mx.example.org", "localhost"}) {
			t.Errorf("certificate %d is %v for %v", i, leaf.PublicKeyAlgorithm, leaf.DNSNames)
		}
	}
	log.Reset()
	second := selfSigned(t, dir, "mx.example.org", &log)
	for i := range first {
		if !first[i].Leaf.Equal(second[i].Leaf) {
			t.Errorf("certificate %d was replaced:\n%s", i, &log)
		}
	}
}

func TestOnlyOwnerCanReadSelfSignedKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	selfSigned(t, dir, "localhost", new(bytes.Buffer))
	for _, name := range []string{"ecdsa-key.pem", "rsa-key.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info.Mode(), err)
		}
	}
}

// The TLSA record of the key stays valid.
func TestNewHostnameGetsNewCertificateOfOldKey(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	first := selfSigned(t, dir, "old.example.org", &log)
	log.Reset()
	second := selfSigned(t, dir, "new.example.org", &log)
	for i := range first {
		if names := second[i].Leaf.DNSNames; !slices.Equal(names, []string{"new.example.org", "localhost"}) {
			t.Errorf("certificate %d is for %v", i, names)
		}
		if !samePublic(first[i], second[i]) {
			t.Errorf("key %d was replaced", i)
		}
	}
	if !strings.Contains(log.String(), "hostname changed") {
		t.Errorf("the log does not say why:\n%s", &log)
	}
}

func TestExpiredSelfSignedIsReplaced(t *testing.T) {
	dir := t.TempDir()
	expired := testcert.New(t, testcert.Options{Names: []string{"mx.example.org", "localhost"}, NotAfter: time.Now().Add(-time.Hour)})
	move(t, filepath.Join(dir, "ecdsa-cert.pem"), expired.CertFile)
	move(t, filepath.Join(dir, "ecdsa-key.pem"), expired.KeyFile)
	var log bytes.Buffer
	got := selfSigned(t, dir, "mx.example.org", &log)
	if !samePublic(got[0], &expired.TLS) || !strings.Contains(log.String(), certs.ErrExpired.Error()) {
		t.Errorf("the log says\n%s", &log)
	}
}

// A file put there by mistake must not be lost.
func TestUnreadableSelfSignedKeyIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ecdsa-key.pem")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := certs.SelfSigned(dir, "localhost", silent)
	if !errors.Is(err, certs.ErrNoKey) {
		t.Errorf("got %v, want %v", err, certs.ErrNoKey)
	}
	if content, _ := os.ReadFile(file); string(content) != "precious" {
		t.Errorf("the file holds %q now", content)
	}
}
