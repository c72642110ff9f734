package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/testcert"
	"postern/internal/testlog"
	"postern/mtasts"
)

// The time line has a marker where a certificate expired, which is when senders begin to fail.
func TestCertificateThatExpiresIsAnEvent(t *testing.T) {
	end := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	cert := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}, NotAfter: end}).TLS
	for _, test := range []struct {
		now, at time.Time
		text    string
	}{
		{end.Add(-time.Minute), end.Add(-time.Minute), "until 2026-05-04"},
		{end.Add(time.Minute), end, "expired"},
	} {
		if e := certificateEvent(&cert, test.now); !e.At.Equal(test.at) || e.Text != test.text {
			t.Errorf("at %v: %v %q, want %v %q", test.now, e.At, e.Text, test.at, test.text)
		}
	}
}

// The time line has a marker where the server changed, and none for a start without a change.
func TestChangesOfTheServerAreEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	pair := func(until time.Time) certs.Pair {
		made := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}, NotAfter: until})
		return certs.Pair{CertFile: made.CertFile, KeyFile: made.KeyFile}
	}
	first, second := time.Now().Add(24*time.Hour), time.Now().Add(90*24*time.Hour)
	old, renewed := pair(first), pair(second)
	policies := &config.Config{}
	policies.MTASTS.Enabled = true
	for range 2 { // as a restart does
		s := &Server{observer: open(t, path).observer, log: new(testlog.Log).Logger()}
		var err error
		if s.store, err = certs.Open([]certs.Pair{old}, new(certs.Files), s.log); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		passedOn, ended := make(chan struct{}), make(chan struct{})
		changed := make(chan struct{})
		go func() {
			defer close(ended)
			s.noteCertificates(ctx, changed, passedOn)
		}()
		changed <- struct{}{} // the first ones are noted
		if err := s.store.Replace([]certs.Pair{renewed}); err != nil {
			t.Fatal(err)
		}
		old = renewed
		changed <- struct{}{}
		changed <- struct{}{}
		cancel()
		<-ended
		s.noteVersions()
		mode := s.policies(policies).Changed
		for i := range maxNoted + 5 {
			mode(fmt.Sprintf("d%02d.example", i), mtasts.Testing)
		}
		if err := s.observer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	found, err := read(t, path).Events(t.Context(), ledger.Span{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	kinds := make(map[ledger.EventKind]int)
	for _, e := range slices.Backward(found) {
		kinds[e.Kind]++
		if e.Kind == ledger.CertificateChanged {
			got = append(got, e.Subject+" "+e.Text)
		}
	}
	want := []string{
		"mx.example.org ECDSA until " + first.UTC().Format(time.DateOnly),
		"mx.example.org ECDSA until " + second.UTC().Format(time.DateOnly),
	}
	if !slices.Equal(got, want) {
		t.Errorf("certificates %q, want %q", got, want)
	}
	if kinds[ledger.PolicyChanged] != maxNoted+1 || kinds[ledger.VersionChanged] != 1 || kinds[ledger.GoVersionChanged] != 1 {
		t.Errorf("events %v", kinds)
	}
}
