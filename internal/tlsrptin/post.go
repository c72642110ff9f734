package tlsrptin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/tlsrpt"
)

// MaxBody is the largest body of a POST, in bytes.
const MaxBody = tlsrpt.MaxReportSize

// postLimits limit the rate of POSTs, for an address to one a second. A sender has one report
// a day for each domain, and may send those of several domains at once.
var postLimits = admission.Quotas{
	Total:      admission.Quota{Starts: 20},
	PerNetwork: admission.Quota{Starts: 4},
}

// postTimeout bounds a POST after its header.
const postTimeout = time.Minute

// maxErrorText bounds the error text in an answer, in characters.
const maxErrorText = 300

// ServeHTTP receives a report by POST (RFC 8460, Section 5.4). It answers 201 when the
// report is on disk, or 200 if it was stored before. 429 and 5xx mean that the sender
// should retry; other 4xx mean that it should not.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), postTimeout)
	defer cancel()
	status, text := rc.post(ctx, w, r)
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "600")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

// post returns the answer to a request.
func (rc *Receiver) post(ctx context.Context, w http.ResponseWriter, r *http.Request) (status int, text string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "send TLS reports by POST (RFC 8460, Section 5.4)"
	}
	if !isReportType(r.Header.Get("Content-Type")) {
		return http.StatusUnsupportedMediaType, "send application/tlsrpt+gzip or application/tlsrpt+json"
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	if rc.admission.AllowStart(from.Addr(), postLimits) != nil {
		return http.StatusTooManyRequests, "too many reports, try again later"
	}
	client := from.Addr().Unmap()
	body := rc.posts.buffer(client, MaxBody)
	defer body.release()
	if _, err := io.Copy(body, http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		return rc.answerTo(err)
	}
	added, err := rc.storeBody(ctx, body, client)
	switch {
	case err != nil:
		return rc.answerTo(err)
	case added.New:
		return http.StatusCreated, "report stored"
	}
	return http.StatusOK, "report already stored"
}

// isReportType reports whether a media type may be that of a report. Senders use wrong
// types, so the body decides, but the types that a browser can send to another site
// without asking are refused.
func isReportType(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/tlsrpt+gzip", "application/tlsrpt+json",
		"application/gzip", "application/x-gzip", "application/json", "application/octet-stream":
		return true
	}
	return false
}

// storeBody parses and stores a report. A POST has no signature.
func (rc *Receiver) storeBody(ctx context.Context, body *buffer, client netip.Addr) (added ledger.AddedReport, err error) {
	busy := rc.parsing.do(ctx, body.from, func() {
		var content []byte
		if content, err = body.use(); err != nil {
			return
		}
		var report *tlsrpt.Report
		if report, err = tlsrpt.Parse(bytes.NewReader(content)); err != nil {
			return
		}
		var r ledger.Report
		if r, err = newReport(report); err != nil {
			return
		}
		r.Via, r.Verdict, r.Address, r.At = ledger.ByHTTPS, "received by HTTPS, which has no signature", client, time.Now()
		warnIfInFuture(&r)
		added, err = rc.add(ctx, r)
	})
	return added, cmp.Or(busy, err)
}

// answerTo returns the answer for an error.
func (rc *Receiver) answerTo(err error) (status int, text string) {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong), errors.Is(err, tlsrpt.ErrTooLarge), errors.Is(err, ledger.ErrReportTooLarge):
		return http.StatusRequestEntityTooLarge, "report too large"
	case errors.Is(err, tlsrpt.ErrNotReport):
		return http.StatusBadRequest, safetext.Shorten(strings.TrimPrefix(err.Error(), "tlsrpt: "), maxErrorText)
	case errors.Is(err, errTooSlow):
		return http.StatusServiceUnavailable, "report " + errTooSlow.Error()
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, "too many reports at once, try again later"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadRequest, "incomplete body"
	}
	rc.log.Warn("cannot store TLS report; sender will retry", logkey.Err, err)
	return http.StatusServiceUnavailable, "cannot store report, try again later"
}
