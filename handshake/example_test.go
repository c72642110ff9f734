package handshake_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"postern/handshake"
)

// The two lines in a plain TLS server: it draws each handshake that fails.
func ExampleConn() {
	config := &tls.Config{ /* Certificates and so on */ }
	listener, err := net.Listen("tcp", ":4433")
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))

			recorded := handshake.NewConn(conn, handshake.AtServer)
			recorded.Begin()

			secure := tls.Server(recorded, config)
			if err := secure.Handshake(); err != nil {
				recorded.Fail(err)
				fmt.Fprint(os.Stderr, recorded.Stop(handshake.Unused).Draw(handshake.DrawOptions{}))
				return
			}
			recorded.Stop(handshake.Unused)
			io.WriteString(secure, "hello\n")
			secure.Close()
		}()
	}
}

// Bytes from anywhere: here a client that speaks SMTP where TLS was to begin.
func ExampleRecorder() {
	start := time.Now()
	recorder := handshake.NewRecorder(handshake.OnWire, start)
	recorder.Feed(handshake.Client, []byte("EHLO mx.example.org\r\n"), start.Add(3*time.Millisecond))
	recorder.End(handshake.End{How: handshake.Closed, By: handshake.Client})

	transcript := recorder.Transcript()
	fmt.Printf("%s %q, %s by %s\n", transcript.Messages[0].Type, transcript.NotTLS, transcript.End.How, transcript.End.By)
	// Output: NotTLS "EHLO mx.example.", closed by client
}
