package dashboard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPeopleWithTheSamePageOpenShareItsView(t *testing.T) {
	s := newSite(t)
	var made atomic.Int64
	load := func(*http.Request) (*view, error) {
		made.Add(1)
		return &view{Live: true}, nil
	}
	ask := func(path string) *view {
		v, err := s.pages.viewOf(httptest.NewRequest("GET", path, nil), load)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { ask("/?last=24h") })
	}
	all.Wait()
	// The first view may be two seconds old by the hundredth request of a busy machine.
	if n := made.Load(); n > 5 {
		t.Errorf("made %d views for 100 requests", n)
	}
	first := ask("/?last=7d")
	if ask("/?last=24h") == first {
		t.Error("another time has the same view")
	}
	s.fail("AAAAAAAAAA", "mail.sender.example")
	if ask("/?last=7d") == first {
		t.Error("the view of before is shown after a failure")
	}
}

// A fault in one page ends neither that page's turn nor the others.
func TestAFaultInAPageEndsNoOther(t *testing.T) {
	s := newSite(t)
	s.logIn()
	faulty := s.pages.page(func(*http.Request) (*view, error) { panic("a fault") })
	for range cap(s.pages.making) + 1 {
		answer := httptest.NewRecorder()
		faulty.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		if body := answer.Body.String(); answer.Code != http.StatusInternalServerError || !strings.Contains(body, "panic: a fault") || strings.Contains(body, "views_test.go") {
			t.Errorf("the page: %d\n%s", answer.Code, body)
		}
	}
	if status, _ := s.get("/senders"); status != http.StatusOK {
		t.Errorf("another page: %d", status)
	}
}
