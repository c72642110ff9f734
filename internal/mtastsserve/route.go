package mtastsserve

import (
	"net/http"

	"postern/internal/web"
)

// Routes are where the policies are served: RFC 8461, Section 3.3.
func (p *Publisher) Routes() []web.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	var routes []web.Route
	for _, domain := range p.settings.Domains {
		routes = append(routes, web.Route{
			Pattern: "GET mta-sts." + domain + "/.well-known/mta-sts.txt",
			Handler: p.handler(domain),
		})
	}
	return routes
}

func (p *Publisher) handler(domain string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := p.text(domain)
		w.Header().Set("Cache-Control", "no-store") // senders keep it by max_age, and no other way
		if text == nil {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "the policy is being checked", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(text)
	})
}

func (p *Publisher) text(domain string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.domains[domain]; d != nil {
		return d.text
	}
	return nil
}
