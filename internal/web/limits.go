package web

import (
	"log"
	"net/http"
	"strings"
	"time"

	"postern/internal/admission"
	"postern/internal/logkey"
)

// shares let a provider's fetchers of policies in without waiting. A start is a
// TLS handshake or a request.
var shares = admission.Shares{
	Total:      admission.Share{Connections: 1000, Starts: 200},
	PerNetwork: admission.Share{Connections: 50, Starts: 10},
}

const (
	headerTime     = 10 * time.Second // for a TLS handshake, and for a request's header
	readTime       = time.Minute      // for a request with its body
	writeTime      = time.Minute      // for a response, from the end of the header
	idleTime       = 30 * time.Second // between requests
	connectionTime = 10 * time.Minute // for all of a connection, whatever HTTP/2 does in it

	maxHeader  = 16 << 10
	maxStreams = 10 // of a connection by HTTP/2, at once
	streamRoom = 64 << 10
	connRoom   = 256 << 10
)

// bounded is a server for HTTP/1.1 that answers by next.
func (s *Server) bounded(next http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s.guard(next),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamRoom,
			MaxReceiveBufferPerConnection: connRoom,
		},
		ErrorLog: log.New(complaints{s}, "", 0),
	}
}

// complaints are what net/http has to say of clients: handshakes that fail, mostly.
type complaints struct{ *Server }

func (c complaints) Write(line []byte) (int, error) {
	c.log.Debug("web client failed", logkey.Err, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// limitBody lets next read so many bytes.
func limitBody(next http.Handler, most int64) http.Handler {
	limited := http.MaxBytesHandler(next, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > most {
			w.Header().Set("Connection", "close") // and do not read it
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		limited.ServeHTTP(w, r)
	})
}
