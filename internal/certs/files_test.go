package certs_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
	"postern/internal/testlog"
)

// A reload of thousands of pairs costs what the changed ones do.
func TestUnchangedPairsAreNotReadAgain(t *testing.T) {
	files := new(certs.Files)
	first, second := made(t, false, "first.example.org"), made(t, false, "second.example.org")
	store, err := certs.Open([]certs.Pair{first, second}, files, silent)
	if err != nil {
		t.Fatal(err)
	}
	before := store.Certificates()
	put(t, second, made(t, false, "renewed.example.org"))
	if _, err := files.Load(second); err != nil { // as the check of the next configuration does
		t.Fatal(err)
	}
	store.Reload()
	after := store.Certificates()
	if after[0] != before[0] {
		t.Error("the pair that did not change was read again")
	}
	if got := after[1].Leaf.DNSNames[0]; got != "renewed.example.org" {
		t.Errorf("the changed pair is for %s", got)
	}
}

func TestFilesReadPairAgainAfterEachChange(t *testing.T) {
	files := new(certs.Files)
	pair, next := made(t, false, "old.example.org"), made(t, false, "new.example.org")
	load := func(want error) string {
		t.Helper()
		cert, err := files.Load(pair)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if err != nil {
			return ""
		}
		return cert.Leaf.DNSNames[0]
	}
	if got := load(nil); got != "old.example.org" {
		t.Errorf("got %s", got)
	}
	move(t, pair.KeyFile, next.KeyFile)
	load(certs.ErrMismatch)
	move(t, pair.CertFile, next.CertFile)
	if got := load(nil); got != "new.example.org" {
		t.Errorf("got %s", got)
	}
	if err := os.Remove(pair.CertFile); err != nil {
		t.Fatal(err)
	}
	load(os.ErrNotExist)
}

func TestManyCertificatesAreSummedUpInTheLog(t *testing.T) {
	lasting := func(name string) certs.Pair {
		p := testcert.New(t, testcert.Options{Names: []string{name}, NotAfter: time.Now().AddDate(0, 2, 0)})
		return certs.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile}
	}
	pairs := make([]certs.Pair, 23)
	for i := range pairs {
		pairs[i] = lasting(fmt.Sprintf("mx%d.example.org", i))
	}
	var log testlog.Log
	store, err := certs.Open(pairs, new(certs.Files), log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	text := log.Take()
	if n := strings.Count(text, `msg="using certificate"`); n != 20 || !strings.Contains(text, `msg="using more certificates" certificates=3`) {
		t.Errorf("%d certificates have a line:\n%s", n, text)
	}
	put(t, pairs[22], lasting("renewed.example.org"))
	store.Reload()
	if text := log.Take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "renewed.example.org") {
		t.Errorf("the log of one renewed certificate is\n%s", text)
	}
}
