package dashboard

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/testcpu"
)

// BenchmarkPages makes every page from a ledger with 10 million handshakes over 90 days, each time
// again. The ledger is made once a day and kept in the user's cache folder; with -short it is small.
func BenchmarkPages(b *testing.B) {
	n := 10_000_000
	if testing.Short() {
		n = 100_000
	}
	path, end := grown(b, n)
	d := New(Settings{Hostname: "mx.example.org", Ledger: path, Key: NewKey(), Log: slog.New(slog.DiscardHandler)})
	b.Cleanup(func() { d.Close() })
	login := d.answer(b, Login{Key: d.Key}.Link(time.Now()), nil)
	page := func(name, path string) {
		b.Run(name, func(b *testing.B) { d.benchmark(b, path, login.Result().Cookies()) })
	}
	during := func(last time.Duration) string {
		return "?" + url.Values{"from": {end.Add(-last).Format(time.RFC3339)}, "to": {end.Format(time.RFC3339)}}.Encode()
	}
	for _, s := range d.sections() {
		for _, last := range lasts {
			page(s.Name+"/"+last.Name, s.Path+during(last.Long))
		}
	}
	quarter := during(90 * 24 * time.Hour)
	page("Senders/search", "/senders"+quarter+"&sender=sender47")
	page("Handshakes/failed", "/handshakes"+quarter+"&failed=1")
	page("Handshakes/case", "/handshakes"+quarter+"&case=case-7")
	page("Handshakes/search", "/handshakes"+quarter+"&sender=sender47")
	page("Sender", "/senders/10.0.1.0/24"+quarter)
	page("Domain", "/domains/customer1.example")
	page("Run", "/simulation/mx0.example.org/192.0.2.1:25/early-ticket")
	book, err := d.reader()
	if err != nil {
		b.Fatal(err)
	}
	failed, err := book.Handshakes(b.Context(), ledger.Filter{Failed: true, Limit: 1})
	if err != nil || len(failed) == 0 {
		b.Fatal(failed, err)
	}
	page("Handshake", "/handshakes/"+failed[0].Session)
}

// benchmark makes a page again and again, and reports its size with all that a browser loads for it.
func (d *Dashboard) benchmark(b *testing.B, path string, cookies []*http.Cookie) {
	more := 0
	for name := range assets {
		content, err := files.ReadFile("static/" + name)
		if err != nil {
			b.Fatal(err)
		}
		more += len(content)
	}
	used := testcpu.Used(b)
	for b.Loop() {
		d.views.forget()
		b.ReportMetric(float64(d.answer(b, path, cookies).Body.Len()+more), "bytes")
	}
	b.ReportMetric((testcpu.Used(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/page")
}

// answer returns the answer to a request from this machine.
func (d *Dashboard) answer(b *testing.B, path string, cookies []*http.Cookie) *httptest.ResponseRecorder {
	b.Helper()
	request := httptest.NewRequest("GET", path, nil)
	request.Host, request.RemoteAddr = "127.0.0.1:8025", "127.0.0.1:40000"
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, request)
	if answer.Code >= http.StatusBadRequest {
		b.Fatalf("%s: %d\n%s", path, answer.Code, answer.Body)
	}
	return answer
}
