package dashboard

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/testledger"
)

// BenchmarkPages makes every page from a ledger with 10 million handshakes over 90 days, each time
// again. The ledger is made once a day and kept in the user's cache folder; with -short it is small.
func BenchmarkPages(b *testing.B) {
	n := 10_000_000
	if testing.Short() {
		n = 100_000
	}
	path, end := grown(b, n)
	pages := New(Settings{Hostname: "mx.example.org", Ledger: path, Key: NewKey(), Log: slog.New(slog.DiscardHandler)})
	b.Cleanup(func() { pages.Close() })
	login := httptest.NewRecorder()
	pages.ServeHTTP(login, httptest.NewRequest("GET", Login{Key: pages.Key}.Link(time.Now()), nil))
	for _, s := range sections {
		for _, last := range lasts {
			span := url.Values{"from": {end.Add(-last.Long).Format(time.RFC3339)}, "to": {end.Format(time.RFC3339)}}
			b.Run(s.Name+"/"+last.Name, func(b *testing.B) {
				pages.benchmark(b, login.Result().Cookies(), s.Path+"?"+span.Encode())
			})
		}
	}
	book, err := ledger.OpenReader(path)
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close()
	failed, err := book.Handshakes(context.Background(), ledger.Filter{Failed: true, Limit: 1})
	if err != nil || len(failed) == 0 {
		b.Fatal(failed, err)
	}
	b.Run("Handshake", func(b *testing.B) {
		pages.benchmark(b, login.Result().Cookies(), "/handshakes/"+failed[0].Session)
	})
}

// benchmark makes a page again and again.
func (d *Dashboard) benchmark(b *testing.B, cookies []*http.Cookie, path string) {
	used := processorTime(b)
	for b.Loop() {
		clear(d.views.all)
		request := httptest.NewRequest("GET", path, nil)
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatalf("%s: %d\n%s", path, answer.Code, answer.Body)
		}
		b.ReportMetric(float64(answer.Body.Len()), "bytes")
	}
	b.ReportMetric((processorTime(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/page")
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// grown returns a ledger with so many handshakes, and the time at which they end.
func grown(b *testing.B, handshakes int) (path string, end time.Time) {
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	end = time.Now().UTC().Truncate(24 * time.Hour)
	path = filepath.Join(cache, "postern-bench", fmt.Sprintf("ledger-%d-%s.db", handshakes, end.Format(time.DateOnly)))
	if _, err := os.Stat(path); err == nil {
		return path, end
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	recorded, err := os.ReadFile("../../handshake/testdata/version1.json")
	if err != nil {
		b.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(recorded)
	z.Close()
	making := path + ".making"
	if err := ledger.Create(making); err != nil {
		b.Fatal(err)
	}
	if err := testledger.Fill(making, handshakes, end, packed.Bytes()); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(making, path); err != nil {
		b.Fatal(err)
	}
	return path, end
}
