// Command recordings moves the session tickets in crypto/tls's recordings of TLS 1.3 servers
// from the end of the server's flight to the start of what the server sends next. The bytes of
// the records stay as they are: the ticket is the first record under its key in either place.
//
//	recordings FILE...
//
// It prints the files that it changed.
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		flows, err := parse(string(text))
		if err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		for i := 1; i < len(flows); i += 2 { // those of the server
			if flight, ticket := split(flows[i]); ticket != nil && i+2 < len(flows) {
				flows[i], flows[i+2] = flight, append(bytes.Clone(ticket), flows[i+2]...)
				if err := os.WriteFile(file, format(flows), 0o644); err != nil {
					log.Fatal(err)
				}
				fmt.Println(file)
				break
			}
		}
	}
}

// split returns what a flight has before a ticket at its end, and the ticket. It finds a Finished
// (RFC 8446, Section 4.4.4) by its size as a record: the message's 4 bytes, a hash of SHA-256 or
// SHA-384, the content type, and 16 bytes of the AEAD's tag.
func split(flow []byte) (flight, ticket []byte) {
	finished := false
	for at := 0; at+5 <= len(flow); {
		length := int(flow[at+3])<<8 | int(flow[at+4])
		end := at + 5 + length
		if finished && end == len(flow) {
			return flow[:at], flow[at:]
		}
		finished = flow[at] == 23 && (length == 4+32+1+16 || length == 4+48+1+16)
		at = end
	}
	return flow, nil
}

// parse reads the format of crypto/tls: a heading for each flow, and lines as of hexdump -C.
func parse(text string) (flows [][]byte, err error) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ">>> ") {
			flows = append(flows, nil)
			continue
		}
		_, dump, _ := strings.Cut(line, " ")
		dump, _, found := strings.Cut(dump, "|")
		b, err := hex.DecodeString(strings.Join(strings.Fields(dump), ""))
		if err != nil || !found || len(flows) == 0 {
			return nil, fmt.Errorf("cannot read the line %q: %v", line, err)
		}
		flows[len(flows)-1] = append(flows[len(flows)-1], b...)
	}
	return flows, nil
}

func format(flows [][]byte) []byte {
	var text bytes.Buffer
	for i, flow := range flows {
		direction := "client to server"
		if i%2 == 1 {
			direction = "server to client"
		}
		fmt.Fprintf(&text, ">>> Flow %d (%s)\n%s", i+1, direction, hex.Dump(flow))
	}
	return text.Bytes()
}
