package mtastsserve

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/mtasts"
)

// An oracle answers checks, and keeps the log.
type oracle struct {
	mu     sync.Mutex
	doubts map[string][]Doubt // by domain
	asked  int
	log    strings.Builder
}

func (o *oracle) begin(Settings) Round {
	return func(_ context.Context, domain string) []Doubt {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.asked++
		return o.doubts[domain]
	}
}

func (o *oracle) say(domain string, doubts ...Doubt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doubts = map[string][]Doubt{domain: doubts}
}

func (o *oracle) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(p)
}

// told is what was logged since it was last asked.
func (o *oracle) told() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.log.Reset()
	return o.log.String()
}

func wanted(mode mtasts.Mode, domains ...string) Settings {
	return Settings{Domains: domains, Policy: mtasts.Policy{Mode: mode, MX: []string{"mx.example.org"}, MaxAge: 14 * 24 * time.Hour}}
}

// published runs story beside a publisher, in a bubble.
func published(t *testing.T, settings Settings, story func(*Publisher, *oracle, chan<- struct{})) {
	synctest.Test(t, func(t *testing.T) {
		o, changed := new(oracle), make(chan struct{})
		p := New(settings, o.begin, slog.New(slog.NewTextHandler(o, nil)))
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

func expect(t *testing.T, p *Publisher, domain string, mode mtasts.Mode) {
	t.Helper()
	synctest.Wait()
	if _, got := served(t, p, domain); got != mode {
		t.Errorf("%s has mode %q, want %q", domain, got, mode)
	}
}

var (
	refused = Doubt{Host: "mx.example.org", Addr: "192.0.2.1:25", Refused: true, Why: "certificate has expired", Remedy: "renew it"}
	untold  = Doubt{Host: "mx.example.org", Addr: "192.0.2.1:25", Why: "i/o timeout", Remedy: "let it be reached"}
)

func TestTestingIsServedUnchecked(t *testing.T) {
	for _, mode := range []mtasts.Mode{mtasts.Testing, mtasts.None} {
		published(t, wanted(mode, "example.org", "example.net"), func(p *Publisher, o *oracle, _ chan<- struct{}) {
			expect(t, p, "example.org", mode)
			expect(t, p, "example.net", mode)
			if status, _ := served(t, p, "example.com"); status != http.StatusNotFound {
				t.Errorf("a domain of others has status %d", status)
			}
			time.Sleep(2 * interval)
			if o.asked > 0 {
				t.Error("hosts were asked")
			}
		})
	}
}

// A restart must not make senders replace the policy that they keep by a weaker one.
func TestNothingIsServedUntilItIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(oracle)
		p := New(wanted(mtasts.Enforce, "example.org"), o.begin, slog.New(slog.NewTextHandler(o, nil)))
		if status, _ := served(t, p, "example.org"); status != http.StatusServiceUnavailable {
			t.Errorf("status %d before the check", status)
		}
		go p.Run(t.Context(), nil)
		expect(t, p, "example.org", mtasts.Enforce)
	})
}

func TestARefusalTurnsEnforceIntoTestingUntilItIsMended(t *testing.T) {
	published(t, wanted(mtasts.Enforce, "example.org", "example.net"), func(p *Publisher, o *oracle, changed chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		o.told()

		o.say("example.org", refused)
		time.Sleep(interval)
		expect(t, p, "example.org", mtasts.Testing)
		expect(t, p, "example.net", mtasts.Enforce)
		log := o.told()
		for _, want := range []string{
			`level=WARN msg="MTA-STS policy says testing, not enforce: senders that verify do not get in" domain=example.org host=mx.example.org address=192.0.2.1:25 reason="certificate has expired" remedy="renew it"`,
			`msg="MTA-STS policy is served" domain=example.org mode=testing mx=[mx.example.org]`,
		} {
			if !strings.Contains(log, want) {
				t.Errorf("the log says %s\nwant %s", log, want)
			}
		}

		time.Sleep(interval)
		synctest.Wait()
		if log := o.told(); log != "" {
			t.Errorf("what is known is said again: %s", log)
		}

		o.say("example.org")
		changed <- struct{}{} // at once, not in an hour
		expect(t, p, "example.org", mtasts.Enforce)
		if log := o.told(); !strings.Contains(log, "domain=example.org mode=enforce") {
			t.Errorf("the log says %q", log)
		}
	})
}

func TestWhatCannotBeToldIsTestingAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(oracle)
		o.say("example.org", untold)
		p := New(wanted(mtasts.Enforce, "example.org"), o.begin, slog.New(slog.NewTextHandler(o, nil)))
		go p.Run(t.Context(), nil)
		expect(t, p, "example.org", mtasts.Testing)
		if log := o.told(); !strings.Contains(log, "MTA-STS policy says testing, not enforce: it could not be told") {
			t.Errorf("the log says %q", log)
		}
	})
}

// Else whoever cuts the check off could turn enforce off.
func TestWhatCannotBeToldLaterStaysEnforce(t *testing.T) {
	published(t, wanted(mtasts.Enforce, "example.org"), func(p *Publisher, o *oracle, _ chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		o.told()
		o.say("example.org", untold)
		time.Sleep(interval)
		expect(t, p, "example.org", mtasts.Enforce)
		if log := o.told(); !strings.Contains(log, "MTA-STS policy still says enforce") || strings.Count(log, "\n") != 1 {
			t.Errorf("the log says %q", log)
		}
		o.say("example.org", untold, refused)
		time.Sleep(interval)
		expect(t, p, "example.org", mtasts.Testing)
	})
}

func TestTheSameSettingsAgainChangeNothing(t *testing.T) {
	for _, mode := range []mtasts.Mode{mtasts.Testing, mtasts.Enforce} {
		published(t, wanted(mode, "example.org"), func(p *Publisher, o *oracle, _ chan<- struct{}) {
			o.say("example.org", refused)
			time.Sleep(interval)
			expect(t, p, "example.org", mtasts.Testing)
			o.told()
			p.Apply(wanted(mode, "example.org"))
			if _, got := served(t, p, "example.org"); got != mtasts.Testing {
				t.Errorf("the mode is %q", got)
			}
			expect(t, p, "example.org", mtasts.Testing)
			if log := o.told(); log != "" {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

func TestAnotherMXIsCheckedBeforeItIsServed(t *testing.T) {
	o := new(oracle)
	p := New(wanted(mtasts.Enforce, "example.org"), o.begin, slog.New(slog.NewTextHandler(o, nil)))
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
	published(t, wanted(mtasts.Enforce, "example.org"), func(p *Publisher, o *oracle, _ chan<- struct{}) {
		expect(t, p, "example.org", mtasts.Enforce)
		p.Apply(wanted(mtasts.Enforce, "example.org", "example.net"))
		expect(t, p, "example.org", mtasts.Enforce)
		expect(t, p, "example.net", mtasts.Enforce)
		p.Apply(wanted(mtasts.None, "example.net"))
		expect(t, p, "example.net", mtasts.None)
		if status, _ := served(t, p, "example.org"); status != http.StatusNotFound {
			t.Errorf("what is gone has status %d", status)
		}
	})
}
