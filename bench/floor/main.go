// Command floor is the least work that receives messages over STARTTLS: crypto/tls, one
// goroutine a connection, and as few reads and writes as the dialogue with bench/load needs. It
// checks nothing, limits nothing, sets no deadlines, logs nothing and observes nothing.
//
//	floor ADDRESS CERTIFICATE KEY            discards messages
//	floor ADDRESS CERTIFICATE KEY BACKEND    relays messages to the SMTP server at BACKEND
package main

import (
	"crypto/tls"
	"log"
	"net"
	"os"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("floor: ")
	if len(os.Args) != 4 && len(os.Args) != 5 {
		log.Fatal("usage: floor ADDRESS CERTIFICATE KEY [BACKEND]")
	}
	cert, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	newNext := func() next { return discard{} }
	if len(os.Args) == 5 {
		newNext = func() next { return &relay{addr: os.Args[4]} }
	}
	log.Fatal(serve(listener, &tls.Config{Certificates: []tls.Certificate{cert}}, newNext))
}

// serve runs a session for each connection. What fails in one, the load generator reports.
func serve(listener net.Listener, config *tls.Config, newNext func() next) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			s := &session{conn: conn, next: newNext()}
			_ = s.run(config)
			s.conn.Close()
		}()
	}
}
