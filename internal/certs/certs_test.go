package certs_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
	"postern/internal/testlog"
)

// put replaces the files of a pair by copies of another's.
func put(t *testing.T, at, from certs.Pair) {
	t.Helper()
	move(t, at.CertFile, from.CertFile)
	move(t, at.KeyFile, from.KeyFile)
}

// move puts a copy of one file in the place of another, at once.
func move(t *testing.T, at, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at+".new", at); err != nil {
		t.Fatal(err)
	}
}

// inUse returns the first name of the first certificate.
func inUse(store *certs.Store) string { return store.Certificates()[0].Leaf.DNSNames[0] }

const interval = 5 * time.Second

// watched runs story while Watch runs, in a bubble.
func watched(t *testing.T, story func(t *testing.T, store *certs.Store, pair certs.Pair, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		pair := made(t, false, "old.example.org")
		store, err := certs.Open([]certs.Pair{pair}, new(certs.Files), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go store.Watch(ctx, interval)
		story(t, store, pair, &log)
	})
}

// pass waits for a number of checks of the files.
func pass(checks int) {
	time.Sleep(time.Duration(checks)*interval + time.Millisecond)
	synctest.Wait()
}

func TestWatchReloadsChangedFiles(t *testing.T) {
	watched(t, func(t *testing.T, store *certs.Store, pair certs.Pair, _ *bytes.Buffer) {
		pass(2)
		put(t, pair, made(t, true, "new.example.org"))
		pass(1)
		if got := inUse(store); got != "old.example.org" {
			t.Errorf("%s is in use before the files were stable", got)
		}
		pass(1)
		if got := inUse(store); got != "new.example.org" {
			t.Errorf("%s is in use after the change", got)
		}
	})
}

func TestWatchFollowsLinks(t *testing.T) {
	watched(t, func(t *testing.T, store *certs.Store, pair certs.Pair, _ *bytes.Buffer) {
		// As Kubernetes does: the files are links into a folder that is itself a link.
		volume := t.TempDir()
		for name, from := range map[string]certs.Pair{"1": pair, "2": made(t, false, "new.example.org")} {
			if err := os.Mkdir(filepath.Join(volume, name), 0o700); err != nil {
				t.Fatal(err)
			}
			move(t, filepath.Join(volume, name, "cert"), from.CertFile)
			move(t, filepath.Join(volume, name, "key"), from.KeyFile)
		}
		link := func(to, name string) {
			if err := os.Symlink(to, name+".new"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
		}
		link("1", filepath.Join(volume, "..data"))
		linked := certs.Pair{CertFile: filepath.Join(volume, "cert"), KeyFile: filepath.Join(volume, "key")}
		link("..data/cert", linked.CertFile)
		link("..data/key", linked.KeyFile)
		if err := store.Replace([]certs.Pair{linked}); err != nil {
			t.Fatal(err)
		}
		link("2", filepath.Join(volume, "..data"))
		pass(2)
		if got := inUse(store); got != "new.example.org" {
			t.Errorf("%s is in use after the link changed", got)
		}
	})
}

func TestBrokenPairKeepsOldOneInUse(t *testing.T) {
	watched(t, func(t *testing.T, store *certs.Store, pair certs.Pair, log *bytes.Buffer) {
		fresh := made(t, false, "new.example.org")
		move(t, pair.CertFile, fresh.CertFile) // and not its key
		pass(5)
		if got := inUse(store); got != "old.example.org" {
			t.Errorf("%s is in use after a broken change", got)
		}
		if n := strings.Count(log.String(), "keeping current one"); n != 1 {
			t.Errorf("the fault is logged %d times, want once:\n%s", n, log)
		}
		if !strings.Contains(log.String(), certs.ErrMismatch.Error()) {
			t.Errorf("the log does not say what is wrong:\n%s", log)
		}
		move(t, pair.KeyFile, fresh.KeyFile)
		pass(2)
		if got := inUse(store); got != "new.example.org" {
			t.Errorf("%s is in use after the key was replaced", got)
		}
	})
}

func TestRemovedFilesKeepOldPairInUse(t *testing.T) {
	watched(t, func(t *testing.T, store *certs.Store, pair certs.Pair, _ *bytes.Buffer) {
		if err := os.Remove(pair.CertFile); err != nil {
			t.Fatal(err)
		}
		pass(3)
		if got := inUse(store); got != "old.example.org" {
			t.Errorf("%s is in use", got)
		}
	})
}

func TestReloadReplacesGoodPairsBesideBrokenOnes(t *testing.T) {
	first, second := made(t, false, "first.example.org"), made(t, false, "second.example.org")
	store := open(t, first, second)
	if err := os.Remove(first.KeyFile); err != nil {
		t.Fatal(err)
	}
	put(t, second, made(t, false, "renewed.example.org"))
	store.Reload()
	for i, want := range []string{"first.example.org", "renewed.example.org"} {
		if got := store.Certificates()[i].Leaf.DNSNames[0]; got != want {
			t.Errorf("pair %d is for %s, want %s", i, got, want)
		}
	}
}

func TestReloadPrefersValidCertificate(t *testing.T) {
	expired := func(days int) certs.Pair {
		p := testcert.New(t, testcert.Options{Names: []string{"expired.example.org"}, NotAfter: time.Now().AddDate(0, 0, -days)})
		return certs.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile}
	}
	pair := made(t, false, "valid.example.org")
	store := open(t, pair)
	put(t, pair, expired(1))
	store.Reload()
	if got := inUse(store); got != "valid.example.org" {
		t.Errorf("%s replaced a valid certificate", got)
	}
	pair = expired(2)
	store = open(t, pair)
	put(t, pair, expired(1))
	store.Reload()
	if left := time.Since(store.Certificates()[0].Leaf.NotAfter); left > 36*time.Hour {
		t.Errorf("one that expired %v ago is in use, want its successor", left)
	}
}

func TestCertificateThatIsNotValidYetIsLoggedEachDay(t *testing.T) {
	pair := made(t, false, "mx.example.org")
	synctest.Test(t, func(t *testing.T) { // in 2000
		var log testlog.Log
		store, err := certs.Open([]certs.Pair{pair}, new(certs.Files), log.Logger())
		if err != nil {
			t.Fatal(err)
		}
		go store.Watch(t.Context(), time.Hour)
		for range 3 {
			line := log.Take()
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, `level=ERROR msg="certificate not valid yet"`) || !strings.Contains(line, "valid_from=20") {
				t.Errorf("the log says %q", line)
			}
			time.Sleep(24 * time.Hour)
			synctest.Wait()
		}
	})
}

func TestFailedReplaceReturnsAllErrorsAndChangesNothing(t *testing.T) {
	store := open(t, made(t, false, "old.example.org"))
	err := store.Replace([]certs.Pair{{"a", "b"}, made(t, false, "new.example.org"), {"c", "d"}})
	if err == nil || !strings.Contains(err.Error(), "a does not exist") || !strings.Contains(err.Error(), "c does not exist") {
		t.Errorf("got %v, want both faults", err)
	}
	if got := inUse(store); got != "old.example.org" {
		t.Errorf("%s is in use", got)
	}
	if _, err := certs.Open(nil, new(certs.Files), silent); err == nil {
		t.Error("a store without certificates was opened")
	}
}

func TestOpenWarnsOfCertificateThatExpiresSoon(t *testing.T) {
	for _, tt := range []struct {
		left time.Duration
		want string
	}{
		{13 * 24 * time.Hour, "level=WARN"},
		{15 * 24 * time.Hour, "level=INFO"},
	} {
		var log bytes.Buffer
		p := testcert.New(t, testcert.Options{NotAfter: time.Now().Add(tt.left)})
		_, err := certs.Open([]certs.Pair{{p.CertFile, p.KeyFile}}, new(certs.Files), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || !strings.Contains(log.String(), tt.want) || !strings.Contains(log.String(), "expires=") {
			t.Errorf("%v left: got %v and the log\n%s", tt.left, err, &log)
		}
	}
}

func TestExpiringCertificateIsLoggedEachDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := func(days int) certs.Pair {
			end := time.Now().AddDate(0, 0, days).Add(time.Hour)
			p := testcert.New(t, testcert.Options{NotAfter: end})
			return certs.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile}
		}
		var log testlog.Log
		short, long := pair(20), pair(200)
		store, err := certs.Open([]certs.Pair{short, long}, new(certs.Files), log.Logger())
		if err != nil {
			t.Fatal(err)
		}
		log.Take()
		go store.Watch(t.Context(), time.Hour)
		for day := 1; day <= 30; day++ {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			want := ""
			switch {
			case day > 20:
				want = "level=ERROR msg=\"certificate expired\""
			case day > 6:
				want = "level=WARN msg=\"certificate expires soon\""
			}
			line := log.Take()
			if want == "" && line != "" || want != "" && (strings.Count(line, "\n") != 1 || !strings.Contains(line, want) || !strings.Contains(line, short.CertFile)) {
				t.Errorf("on day %d the log says %q, want %q", day, line, want)
			}
		}
	})
}

func TestChangesAreSignalled(t *testing.T) {
	pair := made(t, false, "old.example.org")
	store := open(t, pair)
	signalled := func() bool {
		select {
		case <-store.Changes():
			return true
		default:
			return false
		}
	}
	if signalled() {
		t.Error("loading the first certificates is signalled as a change")
	}
	put(t, pair, made(t, false, "new.example.org"))
	store.Reload()
	store.Reload()
	if !signalled() || signalled() {
		t.Error("two changes in a row are not signalled once")
	}
}
