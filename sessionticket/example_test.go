package sessionticket_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"

	"postern/sessionticket"
)

// The three lines in a plain TLS server.
func Example() {
	certificate, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	listener, err := net.Listen("tcp", ":4433")
	if err != nil {
		log.Fatal(err)
	}

	gate := new(sessionticket.Gate)
	listener = gate.Listener(listener)
	config = gate.Config(config)

	for listener := tls.NewListener(listener, config); ; {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			io.WriteString(conn, "hello\n")
		}()
	}
}

// A web server. ServeTLS would add its protocols and files to the config when it is
// too late for the gate: set them on the config before.
func Example_http() {
	certificate, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		log.Fatal(err)
	}
	gate := new(sessionticket.Gate)
	server := &http.Server{TLSConfig: gate.Config(&tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"h2", "http/1.1"},
	})}
	log.Fatal(server.ServeTLS(gate.Listener(listener), "", ""))
}

// A mode for each connection: no tickets for one network whose clients fail on
// any, and the default for all others.
func ExampleGate_choose() {
	careful := netip.MustParsePrefix("192.0.2.0/24")
	gate := &sessionticket.Gate{
		Choose: func(hello *tls.ClientHelloInfo) sessionticket.Mode {
			peer, err := netip.ParseAddrPort(hello.Conn.RemoteAddr().String())
			if err == nil && careful.Contains(peer.Addr().Unmap()) {
				return sessionticket.NoTicket
			}
			return sessionticket.OwnWrite
		},
		OnBypass: func(reason error) { log.Print(reason) },
	}
	config := gate.Config(&tls.Config{ /* Certificates and so on */ })
	_ = config
}

// Modes are written by name in a configuration.
func ExampleMode_UnmarshalText() {
	var mode sessionticket.Mode
	err := mode.UnmarshalText([]byte("own-write"))
	fmt.Println(mode, err)
	fmt.Println(mode.UnmarshalText([]byte("late")))
	// Output:
	// own-write <nil>
	// sessionticket: unknown mode "late"; use own-write, first-write, no-ticket, tls12 or stock
}
