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
	"postern/internal/testpeer"
)

// A relay stands before a server and records the handshakes of the client that comes
// through it, at the client's end of what it passes on.
type relay struct {
	addr   string // where it listens
	keyLog string // the file for the client's secrets

	listener net.Listener
	server   string
	passing  sync.WaitGroup

	mu    sync.Mutex
	conns []*handshake.Conn // in the order in which the client came
}

// relayTime bounds a connection through a relay.
const relayTime = time.Minute

func newRelay(s *testpeer.Scope, server string) *relay {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.Fatalf("%v", err)
	}
	r := &relay{
		addr: listener.Addr().String(), keyLog: filepath.Join(s.TempDir(), "keys"),
		listener: listener, server: server,
	}
	r.passing.Go(r.accept)
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
		end := time.Now().Add(relayTime)
		client.SetDeadline(end)
		recorded.SetDeadline(end)
		r.passing.Go(func() { pass(client, recorded) })
	}
}

// transcripts waits until the connections have ended, and returns a transcript of each,
// nil where it did not come to TLS. No further client is let through. Answered tells of
// which the client says that it was answered over TLS: so both sides took the handshake
// for complete.
func (r *relay) transcripts(answered ...bool) []*handshake.Transcript {
	r.listener.Close()
	r.passing.Wait()
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

// pass passes on what both say until one of them has gone.
func pass(client net.Conn, server *handshake.Conn) {
	defer client.Close()
	defer server.Close()
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	if !passClear(client, fromClient, server, fromServer) {
		return
	}
	server.Begin()
	var answering sync.WaitGroup
	answering.Go(func() {
		_, _ = io.Copy(client, fromServer)
		client.Close() // which ends the copy below
	})
	_, _ = io.Copy(server, fromClient)
	server.Close() // the client has gone: that is what is recorded
	answering.Wait()
}

// passClear passes on greeting, commands and replies up to the reply that starts TLS, and
// reports whether there was one. Nothing is pipelined before it: it waits for each reply.
func passClear(client io.Writer, fromClient *bufio.Reader, server io.Writer, fromServer *bufio.Reader) bool {
	for command := []byte(nil); ; {
		ready, err := passReply(client, fromServer)
		if err != nil {
			return false
		}
		if bytes.EqualFold(bytes.TrimSpace(command), []byte("STARTTLS")) && ready {
			return true
		}
		line, err := fromClient.ReadSlice('\n') // of 4 KiB at most
		if err != nil {
			return false
		}
		command = bytes.Clone(line)
		if _, err := server.Write(line); err != nil {
			return false
		}
	}
}

// passReply passes on a reply of one or more lines (RFC 5321, Section 4.2.1).
func passReply(client io.Writer, fromServer *bufio.Reader) (ready bool, err error) {
	for {
		line, err := fromServer.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if _, err := client.Write(line); err != nil {
			return false, err
		}
		if len(line) < 4 || line[3] != '-' {
			return bytes.HasPrefix(line, []byte("220")), nil
		}
	}
}

// A keyFile is a key log that a client has written by the time that it is needed.
type keyFile string

// Opener finds the keys of a session; it has none when there is no such file.
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
