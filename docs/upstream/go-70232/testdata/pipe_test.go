// Client and server over a connection without a buffer. The ticket at the end of the server's
// flight may wait for a client that is itself waiting to write its Finished. It needs the standard
// library only:
//
//	go test ticket_test.go pipe_test.go
package ticket

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestClientsHandshakeReturnsOverAPipe(t *testing.T) {
	for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert} {
		t.Run(auth.String(), func(t *testing.T) {
			own := certificate(t)
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				client := tls.Client(near, newClient())
				server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: auth})
				var clientReturned, serverReturned atomic.Bool
				go func() { client.Handshake(); clientReturned.Store(true) }()
				go func() { server.Handshake(); serverReturned.Store(true) }()
				synctest.Wait()
				if !clientReturned.Load() {
					t.Error("client and server both wait for the other to read")
				} else if !serverReturned.Load() {
					t.Log("the server's handshake waits for the client to read the ticket")
				}
				near.Close()
				far.Close()
			})
		})
	}
}
