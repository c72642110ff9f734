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

// A plain TLS server that prints the diagram of each failed handshake.
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
				fmt.Fprint(os.Stderr, recorded.Stop(handshake.UseNone).Diagram(handshake.DiagramOptions{}))
				return
			}
			recorded.Stop(handshake.UseNone)
			io.WriteString(secure, "hello\n")
			secure.Close()
		}()
	}
}

// Bytes from anywhere: a client that sends SMTP where TLS should start.
func ExampleRecorder() {
	start := time.Now()
	recorder := handshake.NewRecorder(handshake.OnWire, start)
	recorder.Feed(handshake.Client, []byte("EHLO mx.example.org\r\n"), start.Add(3*time.Millisecond))
	recorder.End(handshake.End{Kind: handshake.EndClosed, By: handshake.Client})

	transcript := recorder.Transcript()
	fmt.Printf("%s %q, %s by %s\n", transcript.Messages[0].Type, transcript.NotTLS, transcript.End.Kind, transcript.End.By)
	// Output: NotTLS "EHLO mx.example.", closed by client
}

// A sender that closes when a session ticket arrives before it has sent its Finished.
func ExampleTranscript_Diagram() {
	data, err := os.ReadFile("testdata/early-ticket.json")
	if err != nil {
		panic(err)
	}
	transcript, err := handshake.Parse(data)
	if err != nil {
		panic(err)
	}
	fmt.Print(transcript.Diagram(handshake.DiagramOptions{}))
	// Output:
	// recorded  24 October 2024 09:15:02 UTC, at the server
	// client    192.0.2.7:51034
	//           SNI mx.example.org
	//           offers TLS 1.3, TLS 1.2, no session to resume
	//           JA4 t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4
	// server    198.51.100.25:25
	//           chose TLS 1.3, TLS_AES_128_GCM_SHA256, x25519
	//
	//      time   client                                              server     bytes
	//             │                                                        │
	//    0.0 ms   ├── ClientHello ────────────────────────────────────────▶│       512
	//    1.4 ms   │◀──────────────────────────────────────── ServerHello ──┤ ┐     122
	//             │◀─────────────────────────────────── ChangeCipherSpec ──┤ │       1
	//             │◀┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ EncryptedExtensions ┄┄┤ │       6
	//             │◀┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ Certificate ┄┄┤ │    1187
	//             │◀┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ CertificateVerify ┄┄┤ │      78
	//             │◀┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ Finished ┄┄┤ │      36
	//             │◀════ NewSessionTicket ← before the client's Finished ══╡ ┘     122
	//   41.9 ms   ✗ closed silently by the client, after NewSessionTicket  │
	//
	//             ┐┘ sent in one write   ┄┄ encrypted, named by order and size
	//
	// ended     handshake failed: closed silently by the client, after
	//           NewSessionTicket
	// then      nothing more came
	// acks      the client's TCP acknowledged all that the server sent
	// error     EOF
}

// The same server when it sends the ticket later, for a terminal with ASCII only.
func ExampleTranscript_Diagram_ascii() {
	fmt.Print(healthy().Diagram(handshake.DiagramOptions{ASCII: true}))
	// Output:
	// recorded  24 October 2024 09:15:02 UTC, at the server
	// client    192.0.2.7:51034
	//           SNI mx.example.org
	//           offers TLS 1.3, TLS 1.2, no session to resume
	//           JA4 t13d0408h0_1f24bcc5f17d_02f6b9f3a1c4
	// server    198.51.100.25:25
	//           chose TLS 1.3, TLS_AES_128_GCM_SHA256, x25519
	//
	//      time   client                                              server     bytes
	//             |                                                        |
	//    0.0 ms   +-- ClientHello ---------------------------------------->|       512
	//    1.4 ms   |<---------------------------------------- ServerHello --+ .     122
	//             |<----------------------------------- ChangeCipherSpec --+ |       1
	//             |<................................ EncryptedExtensions ..+ |       6
	//             |<........................................ Certificate ..+ |    1187
	//             |<.................................. CertificateVerify ..+ |      78
	//             |<........................................... Finished ..+ '      36
	//   39.2 ms , +-- ChangeCipherSpec ----------------------------------->|         1
	//           ` +.. Finished ...........................................>|        36
	//             |                  * handshake complete                  |
	//   39.4 ms   |<................................... NewSessionTicket ..+       122
	//   78.5 ms   +.. ApplicationData ....................................>|        24
	//
	//             .' sent in one write   .. encrypted, named by order and size
	//
	// ended     handshake complete; closed by the client
	// then      the client sent mail over TLS
}
