package examples

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"postern/sessionticket"
)

// HTTP answers with the protocol of the request. ServeTLS would add its protocols and files to
// the config when it is too late for the gate, so they are set on the config before.
func HTTP(listener net.Listener, config *tls.Config) error {
	config.NextProtos = []string{"h2", "http/1.1"}
	gate := new(sessionticket.Gate)
	server := &http.Server{
		TLSConfig: gate.Config(config),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello over %s\n", r.Proto)
		}),
	}
	return server.ServeTLS(gate.Listener(listener), "", "")
}
