package persona_test

import (
	"io"
	"net"
	"testing"

	"postern/internal/persona"
)

// Whatever a server sends, a run ends and keeps to its limits.
func FuzzServerSays(f *testing.F) {
	for _, said := range []string{
		"220 mx.test ESMTP\r\n250-mx.test\r\n250 STARTTLS\r\n220 go\r\n",
		"220 mx.test ESMTP\r\n250-mx.test\r\n250 STARTTLS\r\n220 go\r\n\x16\x03\x03\x00\x02\x02\x28",
		"220-\r\n220\r\n250-XXXXXXXA\r\n250 \r\n221\r\n",
		"* OK [CAPABILITY STARTTLS]\r\n* CAPABILITY STARTTLS\r\np1 OK\r\np2 OK\r\n",
		"+OK\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n",
		"-ERR\n", "2", "\r\n", "\n\n\n", "* ", "220 \xff\x1b[2J\r\n",
	} {
		for protocol := range persona.POP3 + 1 {
			f.Add([]byte(said), uint8(protocol))
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, protocol uint8) {
		for _, id := range []string{"early-ticket", "healthy-openssl", "hello-retry-refused", "plaintext-after-starttls"} {
			at := serving(func(conn net.Conn) {
				go io.Copy(io.Discard, conn)
				conn.Write(said)
			})
			at.Protocol = persona.Protocol(protocol % uint8(persona.POP3+1))
			v := find(t, id).Run(t.Context(), at)
			if v.Completed || v.Err == nil {
				t.Fatalf("%s completed: %+v", id, v)
			}
			for _, lines := range [][]string{v.Greeting, v.EHLO, v.SecureEHLO} {
				if len(lines) > 100 {
					t.Errorf("%s kept %d lines", id, len(lines))
				}
				for _, line := range lines {
					if len(line) > 2048 {
						t.Errorf("%s kept a line of %d bytes", id, len(line))
					}
				}
			}
		}
	})
}
