package probe_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"postern/internal/probe"
	"postern/internal/testcert"
)

// A server that gives a thousand tickets, one after the other, and never comes to the
// reply that the client waits for.
func TestAThousandTicketsAreToldOf(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	gave := make(chan int, 1)
	addr := listen(t, func(c net.Conn) {
		startTLS(c)
		keys := new(bytes.Buffer)
		server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair.TLS}, MinVersion: tls.VersionTLS13, KeyLogWriter: keys})
		if server.Handshake() != nil {
			return
		}
		sent := tickets(c, secret(keys), server.ConnectionState().CipherSuite)
		select {
		case gave <- sent:
		default: // one is counted
		}
		greet(server, "250 ok") // which no client can read any more
	})
	r := checkHostile(t, addr)
	if f := finding(t, r.Findings(), "healthy"); f.Severity != probe.Critical || !strings.Contains(strings.Join(f.Evidence, "\n"), "tickets of the server's") {
		t.Errorf("%+v", f)
	}
	if n := <-gave; n < 17 {
		t.Errorf("the client took %d tickets only: this shows nothing", n)
	}
}

// secret is that of what the server says after the handshake, out of its key log.
func secret(keys *bytes.Buffer) []byte {
	for lines := bufio.NewScanner(keys); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == "SERVER_TRAFFIC_SECRET_0" {
			secret, _ := hex.DecodeString(fields[2])
			return secret
		}
	}
	panic("no key of the server's")
}

// tickets writes a thousand tickets behind crypto/tls's own, which was its first record
// under these keys, and returns how many went out.
func tickets(c net.Conn, secret []byte, suite uint16) (sent int) {
	if suite != tls.TLS_AES_128_GCM_SHA256 {
		panic("this machine has no AES, and prefers another suite: " + tls.CipherSuiteName(suite))
	}
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	iv := expand(secret, "iv", 12)
	for sequence := uint64(1); sequence <= 1000; sequence++ {
		if _, err := c.Write(seal(aead, iv, sequence, ticket(sequence))); err != nil {
			return sent
		}
		sent++
	}
	return sent
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, Section 7.1).
func expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := string([]byte{0, byte(size), byte(len(label))}) + label + "\x00"
	key, err := hkdf.Expand(sha256.New, secret, info, size)
	if err != nil {
		panic(err)
	}
	return key
}

// ticket is a NewSessionTicket message and the type of its record (RFC 8446, Sections
// 4.6.1 and 5.2).
func ticket(number uint64) []byte {
	body := binary.BigEndian.AppendUint32(nil, 7200)
	body = binary.BigEndian.AppendUint32(body, 0)
	body = append(body, 8)
	body = binary.BigEndian.AppendUint64(body, number)
	body = append(body, 0, 32)
	body = append(append(body, make([]byte, 32)...), 0, 0)
	return append(append([]byte{4, 0, 0, byte(len(body))}, body...), 22)
}

func seal(aead cipher.AEAD, iv []byte, sequence uint64, plain []byte) []byte {
	nonce := bytes.Clone(iv)
	for i := range 8 {
		nonce[4+i] ^= byte(sequence >> (56 - 8*i))
	}
	head := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	return aead.Seal(head, nonce, plain, head)
}
