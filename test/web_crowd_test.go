package test

import (
	"os"
	"path/filepath"
	"testing"
)

// webConnections is how many strangers come to the web listener, which takes 1,000.
const webConnections = 10_000

// A crowd at the web listener, idle, slow, or turned away, takes nothing from mail.
func TestHonestMailGetsInPastACrowdAtTheWebListener(t *testing.T) {
	needFiles(t, webConnections+200)
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, []byte(`web.listen = ["127.0.0.1:0"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", file)
	web := address.FindString(p.await(0, "127.0.0.1:", "(HTTPS)"))
	crowd := gather(t, webConnections, func(i int) (*client, error) {
		c, err := dial(web, crowdAddress(i))
		if err == nil && i%2 == 0 {
			_ = c.say("\x16\x03\x01\x02") // the start of a handshake; it may be closed already
		}
		return c, err
	})
	p.await(0, "web client turned away", "too many connections")
	for i := range 20 {
		checkGetsIn(t, p, i)
	}
	for _, c := range crowd {
		c.close()
	}
	p.awaitSessions(20)
}
