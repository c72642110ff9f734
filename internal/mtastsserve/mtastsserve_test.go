package mtastsserve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testlog"
	"postern/mtasts"
)

// A fakeCheck returns the problems that the test sets, and keeps the log.
type fakeCheck struct {
	mu       sync.Mutex
	problems map[string][]Problem // by domain
	calls    int
	log      testlog.Log
}

func (o *fakeCheck) begin(Settings) CheckFunc {
	return func(_ context.Context, domain string) []Problem {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.calls++
		return o.problems[domain]
	}
}

func (o *fakeCheck) set(domain string, problems ...Problem) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.problems = map[string][]Problem{domain: problems}
}

func wanted(mode mtasts.Mode, domains ...string) Settings {
	return Settings{Domains: domains, Policy: mtasts.Policy{Mode: mode, MX: []string{"mx.example.org"}, MaxAge: 14 * 24 * time.Hour}}
}

// published runs story beside a publisher, in a bubble.
func published(t *testing.T, settings Settings, story func(*Publisher, *fakeCheck, chan<- struct{})) {
	synctest.Test(t, func(t *testing.T) {
		o, changed := new(fakeCheck), make(chan struct{})
		p := New(settings, o.begin, o.log.Logger())
		go p.Run(t.Context(), changed)
		story(p, o, changed)
	})
}

// served is the status and the mode of what a domain serves.
func served(t *testing.T, p *Publisher, domain string) (int, mtasts.Mode) {
	t.Helper()
	server, mux := httptest.NewRecorder(), http.NewServeMux()
	for _, r := range p.Routes() {
		mux.Handle(r.Pattern, r.Handler)
	}
	mux.ServeHTTP(server, httptest.NewRequest("GET", "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil))
	if server.Code != http.StatusOK {
		return server.Code, ""
	}
	if got := server.Header().Get("Content-Type"); got != "text/plain" {
		t.Errorf("the type is %q", got)
	}
	policy, err := mtasts.ParsePolicy(server.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return server.Code, policy.Mode
}

func TestManyDomainsAreSummedUpInTheLog(t *testing.T) {
	domains := make([]string, 25)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.test", i)
	}
	var log testlog.Log
	p := New(wanted(mtasts.Testing, domains...), new(fakeCheck).begin, log.Logger())
	text := log.Take()
	if n := strings.Count(text, `msg="serving MTA-STS policy"`); n != 20 || !strings.Contains(text, `msg="serving more MTA-STS policies" domains=5 mode=testing`) {
		t.Errorf("%d domains have a line:\n%s", n, text)
	}
	p.Apply(wanted(mtasts.Testing, append(domains, "new.test")...))
	if text := log.Take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "domain=new.test") {
		t.Errorf("the log of one new domain is\n%s", text)
	}
}

// One route answers for all domains, so it has to know the others.
func TestOtherHostsHaveNoPolicy(t *testing.T) {
	p := New(wanted(mtasts.Testing, "example.org", "example.net"), new(fakeCheck).begin, slog.New(slog.DiscardHandler))
	for host, want := range map[string]int{
		"mta-sts.example.org": 200, "mta-sts.example.net": 200, "example.org": 404, "mta-sts.other.example": 404, "www.example.org": 404, "": 404,
	} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequest("GET", "https://host.test/.well-known/mta-sts.txt", nil)
		request.Host = host
		p.Routes()[0].Handler.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("%q: status %d, want %d", host, answer.Code, want)
		}
	}
}

func expect(t *testing.T, p *Publisher, domain string, mode mtasts.Mode) {
	t.Helper()
	synctest.Wait()
	if _, got := served(t, p, domain); got != mode {
		t.Errorf("%s has mode %q, want %q", domain, got, mode)
	}
}

var (
	refused      = Problem{Host: "mx.example.org", Addr: "192.0.2.1:25", Refused: true, Reason: "certificate has expired", Remedy: "renew it"}
	inconclusive = Problem{Host: "mx.example.org", Addr: "192.0.2.1:25", Reason: "i/o timeout", Remedy: "make it reachable"}
)

func TestOtherModesAreServedUnchecked(t *testing.T) {
	for _, mode := range []mtasts.Mode{mtasts.Testing, mtasts.None} {
		published(t, wanted(mode, "example.org", "example.net"), func(p *Publisher, o *fakeCheck, _ chan<- struct{}) {
			expect(t, p, "example.org", mode)
			expect(t, p, "example.net", mode)
			if status, _ := served(t, p, "example.com"); status != http.StatusNotFound {
				t.Errorf("another domain has status %d", status)
			}
			time.Sleep(2 * checkInterval)
			if o.calls > 0 {
				t.Error("hosts were checked")
			}
		})
	}
}

// A restart must not make senders replace the policy that they keep by a weaker one.
func TestEnforceIsNotServedBeforeFirstCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(fakeCheck)
		p := New(wanted(mtasts.Enforce, "example.org"), o.begin, o.log.Logger())
		if status, _ := served(t, p, "example.org"); status != http.StatusServiceUnavailable {
			t.Errorf("status %d before the check", status)
		}
		go p.Run(t.Context(), nil)
		expect(t, p, "example.org", mtasts.Enforce)
	})
}

func TestRefusalDowngradesToTestingUntilFixed(t *testing.T) {
	published(t, wanted(mtasts.Enforce, "example.org", "example.net"), func(p *Publisher, o *fakeCheck, changed chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		o.log.Take()

		if domains, _ := p.Downgraded(); len(domains) > 0 {
			t.Errorf("without a problem %q is downgraded", domains)
		}

		o.set("example.org", refused)
		time.Sleep(checkInterval)
		expect(t, p, "example.org", mtasts.Testing)
		expect(t, p, "example.net", mtasts.Enforce)
		if domains, reason := p.Downgraded(); len(domains) != 1 || domains[0] != "example.org" || reason != "mx.example.org: certificate has expired" {
			t.Errorf("%q is downgraded: %s", domains, reason)
		}
		log := o.log.Take()
		for _, want := range []string{
			`level=WARN msg="MTA-STS policy downgraded to testing: verifying senders cannot deliver" domain=example.org host=mx.example.org address=192.0.2.1:25 reason="certificate has expired" remedy="renew it"`,
			`msg="serving MTA-STS policy" domain=example.org mode=testing mx=[mx.example.org]`,
		} {
			if !strings.Contains(log, want) {
				t.Errorf("the log says %s\nwant %s", log, want)
			}
		}

		time.Sleep(checkInterval)
		synctest.Wait()
		if log := o.log.Take(); log != "" {
			t.Errorf("a known problem is logged again: %s", log)
		}

		o.set("example.org")
		changed <- struct{}{} // at once, not in an hour
		expect(t, p, "example.org", mtasts.Enforce)
		if domains, _ := p.Downgraded(); len(domains) > 0 {
			t.Errorf("after the check %q is downgraded", domains)
		}
		p.Apply(wanted(mtasts.Testing, "example.org"))
		if domains, _ := p.Downgraded(); len(domains) > 0 {
			t.Errorf("as configured %q is testing", domains)
		}
		if log := o.log.Take(); !strings.Contains(log, "domain=example.org mode=enforce") {
			t.Errorf("the log says %q", log)
		}
	})
}

func TestInconclusiveFirstCheckDowngradesToTesting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(fakeCheck)
		o.set("example.org", inconclusive)
		p := New(wanted(mtasts.Enforce, "example.org"), o.begin, o.log.Logger())
		go p.Run(t.Context(), nil)
		expect(t, p, "example.org", mtasts.Testing)
		if log := o.log.Take(); !strings.Contains(log, "MTA-STS policy downgraded to testing: check inconclusive") {
			t.Errorf("the log says %q", log)
		}
	})
}

// Else an attacker who disturbs the check could turn enforce off.
func TestInconclusiveLaterCheckKeepsEnforce(t *testing.T) {
	published(t, wanted(mtasts.Enforce, "example.org"), func(p *Publisher, o *fakeCheck, _ chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		o.log.Take()
		o.set("example.org", inconclusive)
		time.Sleep(checkInterval)
		expect(t, p, "example.org", mtasts.Enforce)
		if log := o.log.Take(); !strings.Contains(log, "MTA-STS policy kept in enforce: check inconclusive") || strings.Count(log, "\n") != 1 {
			t.Errorf("the log says %q", log)
		}
		o.set("example.org", inconclusive, refused)
		time.Sleep(checkInterval)
		expect(t, p, "example.org", mtasts.Testing)
	})
}

func TestSameSettingsChangeNothing(t *testing.T) {
	for _, mode := range []mtasts.Mode{mtasts.Testing, mtasts.Enforce} {
		published(t, wanted(mode, "example.org"), func(p *Publisher, o *fakeCheck, _ chan<- struct{}) {
			o.set("example.org", refused)
			time.Sleep(checkInterval)
			expect(t, p, "example.org", mtasts.Testing)
			o.log.Take()
			p.Apply(wanted(mode, "example.org"))
			if _, got := served(t, p, "example.org"); got != mtasts.Testing {
				t.Errorf("the mode is %q", got)
			}
			expect(t, p, "example.org", mtasts.Testing)
			if log := o.log.Take(); log != "" {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

func TestOtherMXIsCheckedBeforeItIsServed(t *testing.T) {
	o := new(fakeCheck)
	p := New(wanted(mtasts.Enforce, "example.org"), o.begin, o.log.Logger())
	p.checkAll(t.Context())
	if _, mode := served(t, p, "example.org"); mode != mtasts.Enforce {
		t.Fatalf("the mode is %q", mode)
	}
	other := wanted(mtasts.Enforce, "example.org")
	other.Policy.MX = []string{"other.example.org"}
	p.Apply(other)
	if status, _ := served(t, p, "example.org"); status != http.StatusServiceUnavailable {
		t.Errorf("a policy with another mx, not checked yet, has status %d", status)
	}
}

func TestOtherSettingsTakeEffect(t *testing.T) {
	published(t, wanted(mtasts.Enforce, "example.org"), func(p *Publisher, o *fakeCheck, _ chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		p.Apply(wanted(mtasts.Enforce, "example.org", "example.net"))
		expect(t, p, "example.org", mtasts.Enforce)
		expect(t, p, "example.net", mtasts.Enforce)
		p.Apply(wanted(mtasts.None, "example.net"))
		expect(t, p, "example.net", mtasts.None)
		if status, _ := served(t, p, "example.org"); status != http.StatusNotFound {
			t.Errorf("a removed domain has status %d", status)
		}
	})
}
