package tlsrptin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
	"postern/internal/testreport"
	"postern/tlsrpt"
)

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// zeros is a gzip of that many zeros, a thousandth as large.
func zeros(n int64) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	io.CopyN(z, zero{}, n)
	z.Close()
	return b.Bytes()
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func post(handler http.Handler, from, kind string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/tlsrpt", body)
	r.RemoteAddr = from
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestPOSTedReportIsStoredBeforeTheAnswer(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	w := post(s, "192.0.2.7:4711", "application/tlsrpt+gzip", bytes.NewReader(zipped(october.JSON())))
	if w.Code != http.StatusCreated || len(s.reports()) != 1 {
		t.Fatalf("%d %s, %d reports are stored", w.Code, w.Body, len(s.reports()))
	}
	r := s.reports()[0]
	if r.Verified || r.Verdict != "received by HTTPS, which has no signature" || r.Via != ledger.ByHTTPS || r.Submitter != "" || r.Organization != "microsoft.test" || r.Address.String() != "192.0.2.7" || r.Failed != 27 {
		t.Errorf("stored %+v", r)
	}
	if logged := s.log.String(); !strings.Contains(logged, `"TLS report stored" report=1 new=true via=https verdict=`) {
		t.Errorf("the log says %s", logged)
	}
	if w := post(s, "192.0.2.7:4711", "application/tlsrpt+json", strings.NewReader(october.JSON())); w.Code != http.StatusOK || w.Body.String() != "report already stored\n" {
		t.Errorf("the same again: %d %s", w.Code, w.Body)
	}
}

// What is odd about a report is stored with it.
func TestReportIsStoredWithItsWarnings(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	odd := strings.NewReplacer("2024-10-24", "2099-10-24", `"starttls-not-supported"`, `"strange"`, `"validation-failure"`, `"strange"`).Replace(october.JSON())
	post(s, "192.0.2.7:4711", "application/tlsrpt+json", strings.NewReader(odd))
	if len(s.reports()) != 1 {
		t.Fatalf("%d reports are stored", len(s.reports()))
	}
	warnings := strings.Join(s.reports()[0].Warnings, "\n")
	for _, want := range []string{"date-range: ends at 2099-10-24T23:59:59Z, after the report arrived", "strange"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("%q is not in %q", want, warnings)
		}
	}
}

func TestAnswersToPOST(t *testing.T) {
	const (
		ok       = "201: report stored"
		tooLarge = "413: report too large"
		noType   = "415: send application/tlsrpt+gzip or application/tlsrpt+json"
	)
	for name, tt := range map[string]struct {
		kind string
		body io.Reader
		err  error
		want string
	}{
		"gzip with the JSON's type": {"application/tlsrpt+json", bytes.NewReader(zipped(october.JSON())), nil, ok},
		"a type with a parameter":   {"application/tlsrpt+json; charset=utf-8", strings.NewReader(october.JSON()), nil, ok},
		"without a type":            {"", strings.NewReader(october.JSON()), nil, ok},
		"a form":                    {"application/x-www-form-urlencoded", strings.NewReader("a=b"), nil, noType},
		"a malformed type":          {"///", strings.NewReader(october.JSON()), nil, noType},
		"nothing":                   {"application/tlsrpt+json", strings.NewReader(""), nil, "400: not a TLS report: unexpected end of JSON input"},
		"other JSON":                {"application/tlsrpt+json", strings.NewReader(`{"a":"<b>\u001b[2J"}`), nil, "400: not a TLS report: no array of policies"},
		"control characters":        {"application/tlsrpt+json", strings.NewReader("{\x1b[2J"), nil, `400: not a TLS report: invalid character '\x1b' looking for beginning of object key string`},
		"too large":                 {"application/tlsrpt+json", io.LimitReader(zero{}, MaxBody+1), nil, tooLarge},
		"too large when written":    {"application/tlsrpt+json", strings.NewReader(`{"report-id":"` + strings.Repeat("<", 8<<20/6) + `","policies":[{}]}`), nil, tooLarge},
		"a gzip bomb":               {"application/tlsrpt+gzip", bytes.NewReader(zeros(100 << 20)), nil, tooLarge},
		"a depth of 10,000":         {"application/tlsrpt+json", strings.NewReader(strings.Repeat(`{"a":`, 10_000)), nil, tooLarge},
		"the disk is full":          {"application/tlsrpt+json", strings.NewReader(october.JSON()), errors.New("disk full"), "503: cannot store report, try again later"},
		"too large to store":        {"application/tlsrpt+json", strings.NewReader(october.JSON()), ledger.ErrReportTooLarge, tooLarge},
		"incomplete":                {"application/tlsrpt+json", iotest.ErrReader(io.ErrUnexpectedEOF), nil, "400: incomplete body"},
		"truncated gzip":            {"application/tlsrpt+gzip", bytes.NewReader(zipped(october.JSON())[:100]), nil, "400: not a TLS report: unexpected end of JSON input"},
	} {
		s := newTestReceiver(t, Settings{})
		s.err = tt.err
		w := post(s, "192.0.2.7:4711", tt.kind, tt.body)
		if got := fmt.Sprintf("%d: %s", w.Code, w.Body); got != tt.want+"\n" {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		wantHeader := http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}}
		if w.Code == http.StatusServiceUnavailable {
			wantHeader.Set("Retry-After", "600")
		}
		if !reflect.DeepEqual(w.Header(), wantHeader) {
			t.Errorf("%s: %v, want %v", name, w.Header(), wantHeader)
		}
		if kept := len(s.reports()); (kept == 1) != (w.Code == 201) {
			t.Errorf("%s: %d, %d reports are stored", name, w.Code, kept)
		}
		if logged := strings.Contains(s.log.String(), `"cannot store TLS report; sender will retry" err="disk full"`); logged != (w.Code == 503) {
			t.Errorf("%s: the log says %q", name, s.log)
		}
		if n := s.reserved(); n != 0 {
			t.Errorf("%s: %d bytes were not released", name, n)
		}
	}
}

func TestTypesOfReports(t *testing.T) {
	for _, kind := range []string{
		"application/tlsrpt+gzip", "application/tlsrpt+json", "application/gzip", "application/x-gzip", "application/json", "application/octet-stream",
		"Application/JSON ; charset=utf-8",
	} {
		if !isReportType(kind) {
			t.Errorf("%s is refused", kind)
		}
	}
	for _, kind := range []string{"text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "?"} {
		if isReportType(kind) {
			t.Errorf("%s is taken", kind)
		}
	}
}

func TestReportAboutTheFutureHasAWarning(t *testing.T) {
	r := ledger.Report{At: october.Day, End: october.Day.Add(24 * time.Hour)}
	if warnIfInFuture(&r); r.Warnings != nil {
		t.Errorf("%q", r.Warnings)
	}
	r.End = r.End.Add(time.Second)
	if warnIfInFuture(&r); !slices.Equal(r.Warnings, []string{"date-range: ends at 2024-10-25T00:00:01Z, after the report arrived"}) {
		t.Errorf("%q", r.Warnings)
	}
}

// A sender keeps what took too long or there is no room for, and tries again ten minutes later.
func TestPOSTThatCannotBeKeptIsDeferred(t *testing.T) {
	for want, body := range map[string]io.Reader{
		"503: report took more than 5m0s to arrive\n":      io.MultiReader(strings.NewReader("{"), delay(5*time.Minute+time.Second), strings.NewReader("}")),
		"503: too many reports at once, try again later\n": strings.NewReader(october.JSON()),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestReceiver(t, Settings{})
			if strings.Contains(want, "too many") {
				for range 4 {
					b := s.posts.buffer(netip.MustParseAddr("203.0.113.1"), 8<<20)
					defer b.release()
					b.Write(make([]byte, 8<<20))
					b.use()
				}
			}
			w := post(s, "192.0.2.7:4711", "application/tlsrpt+json", body)
			if got := fmt.Sprintf("%d: %s", w.Code, w.Body); got != want || w.Header().Get("Retry-After") != "600" || len(s.reports()) != 0 {
				t.Errorf("%q, want %q; %v; %d reports are stored", got, want, w.Header(), len(s.reports()))
			}
		})
	}
}

func TestOnlyPOSTIsAllowed(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/tlsrpt", nil))
	if got := fmt.Sprintf("%d, Allow %s: %s", w.Code, w.Header().Get("Allow"), w.Body); got != "405, Allow POST: send TLS reports by POST (RFC 8460, Section 5.4)\n" {
		t.Error(got)
	}
}

// A network that floods the server for a minute loses most of its POSTs; others do not.
func TestFloodOfPOSTsFromOneNetworkIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		i := New(Settings{}, store, slog.New(slog.DiscardHandler))
		defer i.Close(t.Context())
		answers := make(map[int]int)
		var other *httptest.ResponseRecorder
		for n := range 10_000 {
			r := testreport.Report{Submitter: "flood.test", Domain: "ours.example", ID: fmt.Sprint(n), Day: october.Day}
			w := post(i, fmt.Sprintf("192.0.2.%d:%d", n%256, n%60_000), "application/tlsrpt+json", strings.NewReader(r.JSON()))
			answers[w.Code]++
			if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			if n == 9000 {
				other = post(i, "198.51.100.1:4711", "application/tlsrpt+json", strings.NewReader(october.JSON()))
			}
			time.Sleep(time.Minute / 10_000)
		}
		if answers[201] > 281 || answers[201] < 270 || answers[201]+answers[429] != 10_000 {
			t.Errorf("answers %v, want about 280 that were stored", answers)
		}
		if other.Code != http.StatusCreated {
			t.Errorf("another network meanwhile: %d %s", other.Code, other.Body)
		}
	})
}

func TestFloodOfPOSTsFromManyNetworksIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := New(Settings{}, newFakeStore(), slog.New(slog.DiscardHandler))
		defer i.Close(t.Context())
		answers := make(map[int]int)
		for n := range 20_000 {
			w := post(i, fmt.Sprintf("[2001:db8:%x::1]:4711", n), "application/tlsrpt+json", strings.NewReader("{}"))
			answers[w.Code]++
		}
		if answers[400] != 50 || answers[429] != 19_950 {
			t.Errorf("answers %v, want 50 that were read", answers)
		}
		if w := post(i, "[2001:db9::1]:4711", "application/tlsrpt+json", strings.NewReader("{}")); w.Code != 400 {
			t.Errorf("a POST from outside their /32 gets %d, want 400 as one that was read", w.Code)
		}
	})
}

// Eight decompression bombs at once, each as large as the limits allow.
func TestDecompressionBombsUseBoundedMemory(t *testing.T) {
	i := New(Settings{}, newFakeStore(), slog.New(slog.DiscardHandler))
	defer i.Close(t.Context())
	deep := `{"report-id":"1","policies":[` + strings.Repeat(`{"policy":{"policy-string":["a","a","a","a","a"]},"summary":{}},`, 20_000) + `{}]}`
	bombs := [][]byte{zeros(tlsrpt.MaxReportSize), zipped(deep), zipped(`{"report-id":"1","policies":[` + strings.Repeat("{},", 190_000) + `{}]}`)}
	var peak uint64
	done := make(chan struct{})
	for n := range 8 {
		go func() {
			w := post(i, fmt.Sprintf("192.0.%d.1:4711", n), "application/tlsrpt+gzip", bytes.NewReader(bombs[n%len(bombs)]))
			if w.Code >= 500 {
				t.Errorf("bomb %d: %d %s", n%len(bombs), w.Code, w.Body)
			}
			done <- struct{}{}
		}()
	}
	for ended := 0; ended < 8; {
		select {
		case <-done:
			ended++
		case <-time.After(10 * time.Millisecond):
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	t.Logf("the heap grew to %d MiB", peak>>20)
	if peak > 256<<20 {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
}
