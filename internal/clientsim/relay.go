package clientsim

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/smtp"
	"postern/internal/testpeer"
)

// A relay forwards connections to a server and records their handshakes, at the client's end.
type relay struct {
	addr   string // where it listens
	keyLog string // file to which the client writes its secrets

	listener net.Listener
	server   string
	open     sync.WaitGroup

	mu    sync.Mutex
	conns []*handshake.Conn // in the order of the client's connections
}

// relayTimeout bounds a connection through a relay.
const relayTimeout = time.Minute

func newRelay(s *testpeer.Scope, server string) *relay {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.Fatalf("%v", err)
	}
	r := &relay{
		addr: listener.Addr().String(), keyLog: filepath.Join(s.TempDir(), "keys"),
		listener: listener, server: server,
	}
	r.open.Go(r.accept)
	s.Cleanup(func() { r.transcripts() })
	return r
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp4", r.server)
		if err != nil {
			client.Close()
			continue
		}
		recorded := handshake.NewConn(server, handshake.AtClient)
		recorded.UseKeys(keyFile(r.keyLog))
		r.mu.Lock()
		r.conns = append(r.conns, recorded)
		r.mu.Unlock()
		end := time.Now().Add(relayTimeout)
		client.SetDeadline(end)
		recorded.SetDeadline(end)
		r.open.Go(func() { forward(client, recorded) })
	}
}

// transcripts accepts no more connections, waits until all have ended, and returns a
// transcript of each, nil if TLS did not start. Answered says for each whether the client got
// a reply over TLS, which shows that the handshake completed.
func (r *relay) transcripts(answered ...bool) []*handshake.Transcript {
	r.listener.Close()
	r.open.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*handshake.Transcript
	for i, conn := range r.conns {
		if i < len(answered) && answered[i] {
			conn.Complete()
		}
		all = append(all, conn.Stop(handshake.UseNone))
	}
	return all
}

// forward copies in both directions until one side has closed.
func forward(client net.Conn, server *handshake.Conn) {
	defer client.Close()
	defer server.Close()
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	if !forwardPlaintext(client, fromClient, server, fromServer) {
		return
	}
	server.Begin()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(client, fromServer)
		client.Close() // ends the copy below
	})
	_, _ = io.Copy(server, fromClient)
	server.Close() // records that the client closed
	copying.Wait()
}

// forwardPlaintext forwards greeting, commands and replies up to the positive reply to
// STARTTLS, and reports whether there was one. It waits for the reply to each command.
func forwardPlaintext(client io.Writer, fromClient *bufio.Reader, server io.Writer, fromServer *bufio.Reader) bool {
	for command := []byte(nil); ; {
		reply, err := smtp.ReadReply(fromServer)
		if err != nil {
			return false
		}
		if _, err := client.Write(reply.Append(nil)); err != nil {
			return false
		}
		if bytes.EqualFold(bytes.TrimSpace(command), []byte("STARTTLS")) && reply.Code == 220 {
			return true
		}
		line, err := fromClient.ReadSlice('\n') // at most 4 KiB
		if err != nil {
			return false
		}
		command = bytes.Clone(line)
		if _, err := server.Write(line); err != nil {
			return false
		}
	}
}

// A keyFile is the path of a key log, which the client has written by the time it is read.
type keyFile string

// Opener finds the keys of a session; nil if there is no such file.
func (k keyFile) Opener(session handshake.Session) handshake.Opener {
	file, err := os.Open(string(k))
	if err != nil {
		return nil
	}
	defer file.Close()
	log, err := keylog.Parse(file)
	if err != nil {
		return nil
	}
	return log.Opener(session)
}
