package tlsrptin

import (
	"bytes"
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

// MaxBody bounds what is POSTed, in bytes.
const MaxBody = tlsrpt.MaxReportSize

// posts is how many reports may be POSTed: a sender has one a day for each domain, and may
// bring those of ten domains at once.
var posts = admission.Shares{
	Total:      admission.Share{Starts: 20},
	PerNetwork: admission.Share{Starts: 1},
}

// postTime bounds a POST from when its header has come.
const postTime = time.Minute

// maxAnswer bounds what an answer quotes of an error, in characters.
const maxAnswer = 300

// ServeHTTP takes a report by POST (RFC 8460, Section 5.4). It answers 201 when the report is
// safe on disk, 200 when it has been there already. Where it answers 429 or 5xx another attempt
// makes sense, with another 4xx it does not.
func (i *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), postTime)
	defer cancel()
	status, text := i.post(ctx, w, r)
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

// post returns the answer.
func (i *Receiver) post(ctx context.Context, w http.ResponseWriter, r *http.Request) (status int, text string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "TLS reports are taken here by POST (RFC 8460, Section 5.4)"
	}
	if !acceptable(r.Header.Get("Content-Type")) {
		return http.StatusUnsupportedMediaType, "send application/tlsrpt+gzip or application/tlsrpt+json"
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	if !i.admission.Start(admission.Network(from.Addr().Unmap()), posts) {
		return http.StatusTooManyRequests, "too many reports at once, come again later"
	}
	body := &held{room: i.room}
	defer body.free()
	if _, err := io.Copy(body, http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		return i.answerTo(err)
	}
	if body.lost != nil {
		return i.answerTo(body.lost)
	}
	filed, err := i.takeBody(ctx, body.bytes, from.Addr().Unmap())
	switch {
	case err != nil:
		return i.answerTo(err)
	case filed.New:
		return http.StatusCreated, "report is kept"
	}
	return http.StatusOK, "report was here already"
}

// acceptable reports whether a type may be that of a report. Names lie, so what the body is
// shows when it is read; but nothing that a browser sends by itself is a report.
func acceptable(contentType string) bool {
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

// takeBody keeps a report that nobody signed.
func (i *Receiver) takeBody(ctx context.Context, body []byte, from netip.Addr) (ledger.AddedReport, error) {
	if err := i.begin(ctx); err != nil {
		return ledger.AddedReport{}, err
	}
	defer i.end()
	report, err := tlsrpt.Parse(bytes.NewReader(body))
	if err != nil {
		return ledger.AddedReport{}, err
	}
	r, err := ofReport(report)
	if err != nil {
		return ledger.AddedReport{}, err
	}
	r.Via, r.Verdict, r.Address, r.At = ledger.ByHTTPS, "came by HTTPS, which nobody signs", from, time.Now()
	warnOfFuture(&r)
	return i.keep(ctx, r)
}

// answerTo says what is wrong.
func (i *Receiver) answerTo(err error) (status int, text string) {
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long), errors.Is(err, tlsrpt.ErrTooLarge), errors.Is(err, ledger.ErrReportTooLarge):
		return http.StatusRequestEntityTooLarge, "report is larger than taken here"
	case errors.Is(err, tlsrpt.ErrNotReport):
		return http.StatusBadRequest, safetext.Shorten(strings.TrimPrefix(err.Error(), "tlsrpt: "), maxAnswer)
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, "too many reports at once, come again later"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadRequest, "the body ended too early"
	}
	i.log.Warn("TLS report cannot be kept, its sender is told to come again", logkey.Err, err)
	return http.StatusServiceUnavailable, "report cannot be kept now, come again later"
}
