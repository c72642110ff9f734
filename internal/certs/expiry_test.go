package certs_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
)

// A record is a log to take out of while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// take is what was written since the last take.
func (r *record) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.text.Reset()
	return r.text.String()
}

func TestACertificateThatRunsOutIsToldOfEachDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := func(days int) certs.Pair {
			end := time.Now().AddDate(0, 0, days).Add(time.Hour)
			p := testcert.New(t, testcert.Options{NotAfter: end})
			return certs.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile}
		}
		var log record
		short, long := pair(20), pair(200)
		store, err := certs.Open([]certs.Pair{short, long}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		log.take()
		go store.Watch(t.Context(), time.Hour)
		for day := 1; day <= 30; day++ {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			want := ""
			switch {
			case day > 20:
				want = "level=ERROR msg=\"certificate in use, it has expired\""
			case day > 6:
				want = "level=WARN msg=\"certificate in use, it expires soon\""
			}
			line := log.take()
			if want == "" && line != "" || want != "" && (strings.Count(line, "\n") != 1 || !strings.Contains(line, want) || !strings.Contains(line, short.CertFile)) {
				t.Errorf("on day %d the log says %q, want %q", day, line, want)
			}
		}
	})
}

func TestChangesAreTold(t *testing.T) {
	pair := made(t, false, "old.example.org")
	store := open(t, pair)
	told := func() bool {
		select {
		case <-store.Changes():
			return true
		default:
			return false
		}
	}
	if told() {
		t.Error("the first certificates are told of as a change")
	}
	put(t, pair, made(t, false, "new.example.org"))
	store.Reload()
	store.Reload()
	if !told() || told() {
		t.Error("two changes in a row are not told of once")
	}
}
