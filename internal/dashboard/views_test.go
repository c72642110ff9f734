package dashboard

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/ledger"
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

// While mail comes, the ledger has something new all the time: pages are then a second old at most.
// A failure is on them at once, and so is what open pages are told to load again for.
func TestViewIsUsedAgainForAMoment(t *testing.T) {
	site := newSite(t)
	latest := func() ledger.Mark {
		mark, err := site.pages.latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return mark
	}
	made := time.Now()
	s := &sharedView{of: latest(), at: made}
	site.sender("AAAAAAAAAA", ledger.Full)
	more := latest()
	site.fail("BBBBBBBBBB", "mail.sender.example")
	failed := latest()
	for name, test := range map[string]struct {
		mark ledger.Mark
		age  time.Duration
		told time.Duration // before the view was made
		want bool
	}{
		"nothing new":                     {s.of, viewTime - 1, time.Minute, true},
		"nothing new for long":            {s.of, viewTime, time.Minute, false},
		"more sessions":                   {more, busyViewTime - 1, time.Minute, true},
		"more sessions, a second later":   {more, busyViewTime, time.Minute, false},
		"a failure":                       {failed, 0, time.Minute, false},
		"open pages are to load it again": {more, 0, -time.Millisecond, false},
	} {
		if got := s.fits(test.mark, made.Add(test.age), made.Add(-test.told)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Browsers that share a page have the token of their own login in it, and nothing of another's.
func TestSharedPageHasTheTokenOfEachLogin(t *testing.T) {
	s := newSite(t)
	s.logIn()
	_, first := s.getShared("/fallback")
	token := tokenIn(first)
	s.logIn()
	_, second := s.getShared("/fallback")
	if other := tokenIn(second); token == "" || other == "" || token == other || strings.Contains(second, token) {
		t.Errorf("tokens %q and %q", token, other)
	}
	if strings.Contains(first+second, csrfOfAnyone) {
		t.Error("a page has the placeholder of a token")
	}
	if strings.ReplaceAll(first, token, tokenIn(second)) != second {
		t.Error("the page was made again")
	}
}

// tokenIn returns the token in the forms of a page.
func tokenIn(body string) string {
	_, rest, _ := strings.Cut(body, `name="csrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func TestOwnChangeIsShownAtOnce(t *testing.T) {
	s := newSite(t)
	s.logIn()
	_, body := s.getShared("/fallback")
	form := url.Values{"csrf": {tokenIn(body)}, "network": {"192.0.2.0/24"}, "mode": {"no-ticket"}, "why": {"asked by phone"}}
	response, err := s.PostForm(s.url+"/senders/pin", form)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if _, body := s.getShared("/fallback"); !strings.Contains(body, "asked by phone") {
		t.Errorf("the pin is not shown:\n%s", body)
	}
}
