package web

import (
	"net/http"
	"regexp"
)

// inTheClear answers challenges, and sends who asks for anything else to HTTPS.
func inTheClear(challenges http.Handler) http.Handler {
	if challenges == nil {
		challenges = http.NotFoundHandler()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/acme-challenge/", challenges)
	mux.HandleFunc("GET /", toHTTPS)
	return limitBody(mux, 0)
}

// hostName is what stands in a URL without harm.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`)

func toHTTPS(w http.ResponseWriter, r *http.Request) {
	if !hostName.MatchString(r.Host) {
		http.Error(w, "no such host", http.StatusBadRequest)
		return
	}
	to := "https://" + r.Host + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusPermanentRedirect)
}
