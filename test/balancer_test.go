package test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// loadBalancer is the page of the recipes for balancers.
const loadBalancer = "load-balancer.md"

// balancerRecipe is the documented configuration of a balancer in front of backend.
func balancerRecipe(t *testing.T, heading, file, backend string) testpeer.BalancerOptions {
	t.Helper()
	text := strings.NewReplacer("192.0.2.1:25", "ADDR", "[2001:db8::1]:25", "ADDR6", "192.0.2.25:2525", "BACKEND").Replace(recipe(t, loadBalancer, heading, file))
	return testpeer.BalancerOptions{Config: text, Backend: backend}
}

// startBehindBalancer starts postern with a listener for balancers, which connect from 127.0.0.1,
// and returns the address of that.
func startBehindBalancer(t *testing.T, args ...string) (p *postern, addr string) {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "postern.toml")
	text := "[log]\nlevel = \"debug\"\n" + strings.NewReplacer(`"192.0.2.1", "2001:db8::1"`, `"127.0.0.1"`, "192.0.2.25:2525", "127.0.0.1:0").
		Replace(recipe(t, loadBalancer, "Behind a load balancer", "/etc/postern/postern.toml"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, append([]string{"--config", settings}, args...)...)
	return p, address.FindString(p.await(0, "(STARTTLS, PROXY protocol)"))
}

// distantSender is the address of a sender in another network than the balancer.
const distantSender = "127.0.5.7"

// Behind HAProxy, Postern and the server behind it see the sender and not the balancer, and
// HAProxy's health checks are answered and taken for no sender.
func TestSendersBehindHAProxyKeepTheirAddress(t *testing.T) {
	backend := startRecipePostfix(t, "Postfix, by the PROXY protocol")
	p, proxied := startBehindBalancer(t, "--next-hop", "smtp://"+backend.ServiceAddr+"?proxy=v2")
	balancer, balancer6 := testpeer.StartHAProxy(t, balancerRecipe(t, "HAProxy", "/etc/haproxy/haproxy.cfg", proxied))
	p.await(0, `msg="health check"`, "sender=127.0.0.1:", "ehlo=haproxy.example.org", "end=quit")

	deliverThrough(t, p, balancer, distantSender)
	deliverThrough(t, p, balancer6, "::1")
	for _, text := range backend.AwaitMessages(t, 2) {
		if _, err := newStored(text).whole(); err != nil {
			t.Error(err)
		}
	}
	backend.AwaitLog(t, "["+distantSender+"]")
	backend.AwaitLog(t, "[::1]")

	p.terminate() // the ledger has everything
	out, status := runPostern(t, "senders", "--json", "--data", p.data)
	if status != 0 || !strings.Contains(out, `"127.0.5.0/24"`) || !strings.Contains(out, `"::/48"`) || strings.Contains(out, `"127.0.0.0/24"`) {
		t.Errorf("the senders, %d: %s", status, out)
	}
	if n := p.log.count("msg=session", "ehlo=haproxy.example.org"); n > 0 {
		t.Errorf("%d health checks were taken for senders", n)
	}
}

// nginx's stream module speaks version 1 of the protocol.
func TestSendersBehindNginxKeepTheirAddress(t *testing.T) {
	backend := startRecipePostfix(t, "Postfix, by XCLIENT")
	p, proxied := startBehindBalancer(t, "--next-hop", "smtp://"+backend.ServiceAddr+"?xclient=on")
	balancer, balancer6 := testpeer.StartNginxStream(t, balancerRecipe(t, "nginx", "/etc/nginx/nginx.conf, outside of http", proxied))
	deliverThrough(t, p, balancer, distantSender)
	deliverThrough(t, p, balancer6, "::1")
	received := strings.Join(backend.AwaitMessages(t, 2), "")
	if !strings.Contains(received, "(["+distantSender+"])") || !strings.Contains(received, "([IPv6:::1])") {
		t.Errorf("Postern's Received fields:\n%s", received)
	}
	backend.AwaitLog(t, ": client=unknown["+distantSender+"]")
	backend.AwaitLog(t, ": client=unknown[::1]")
}

// startRecipePostfix starts a Postfix for IPv4 with a documented service for Postern. That takes the
// addresses of senders on IPv6 all the same.
func startRecipePostfix(t *testing.T, section string) *testpeer.Postfix {
	t.Helper()
	return testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Service: strings.TrimPrefix(recipe(t, mailServers, section, "/etc/postfix/master.cf"), backendAddr+" "),
	})
}

// deliverThrough delivers a message over STARTTLS through a balancer, and checks whose it was.
func deliverThrough(t *testing.T, p *postern, balancer, from string) {
	t.Helper()
	c, err := testsmtp.DialTLS(balancer, from, testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Deliver(newMessage("from "+from, 4<<10))
	if err != nil || reply.Code != 250 {
		t.Fatalf("from %s: %s, %v", from, reply, err)
	}
	c.Close()
	sender := netip.MustParseAddr(from)
	p.await(0, "msg=session", "sender="+strings.TrimSuffix(netip.AddrPortFrom(sender, 0).String(), "0"), "messages=1")
}

// startBehindFrontEnd starts postern with a listener for front-ends that speak SMTP, which connect
// from 127.0.0.1, and returns the address of that.
func startBehindFrontEnd(t *testing.T, args ...string) (p *postern, addr string) {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "postern.toml")
	text := "[log]\nlevel = \"debug\"\n" + strings.NewReplacer("192.0.2.1", "127.0.0.1", "192.0.2.25:2526", "127.0.0.1:0").
		Replace(recipe(t, loadBalancer, "nginx's mail module", "/etc/postern/postern.toml"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, append([]string{"--config", settings}, args...)...)
	return p, address.FindString(p.await(0, "(STARTTLS, XCLIENT)"))
}

// startNginxMail starts nginx as it is documented, in front of backend, and returns its addresses on
// IPv4 and IPv6.
func startNginxMail(t *testing.T, backend string) (addr, addr6 string) {
	t.Helper()
	host, port, err := net.SplitHostPort(backend)
	if err != nil {
		t.Fatal(err)
	}
	cert := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}})
	mail := balancerRecipe(t, "nginx's mail module", "/etc/nginx/nginx.conf, outside of http", backend)
	web := recipe(t, loadBalancer, "nginx's mail module", "/etc/nginx/nginx.conf, in http")
	mail.Config = strings.NewReplacer("/etc/nginx/mx.example.org.pem", cert.CertFile, "/etc/nginx/mx.example.org.key", cert.KeyFile,
		"127.0.0.1:8026", "AUTH", "192.0.2.25", host, "2526", port,
	).Replace(mail.Config + "http { access_log off;\n" + web + "}\n")
	return testpeer.StartNginxMail(t, mail)
}

// nginx's mail module answers senders itself, and names them by XCLIENT. A sender that says XCLIENT
// to nginx changes nothing.
func TestSendersBehindNginxMailKeepTheirAddress(t *testing.T) {
	backend := startRecipePostfix(t, "Postfix, by XCLIENT")
	p, fronted := startBehindFrontEnd(t, "--next-hop", "smtp://"+backend.ServiceAddr+"?xclient=on")
	proxy, proxy6 := startNginxMail(t, fronted)
	deliverThrough(t, p, proxy, distantSender)
	deliverThrough(t, p, proxy6, "::1")
	received := strings.Join(backend.AwaitMessages(t, 2), "")
	if !strings.Contains(received, "(["+distantSender+"])") || !strings.Contains(received, "([IPv6:::1])") {
		t.Errorf("Postern's Received fields:\n%s", received)
	}
	backend.AwaitLog(t, ": client=unknown["+distantSender+"]")
	backend.AwaitLog(t, ": client=unknown[::1]")

	c, err := testsmtp.DialTLS(proxy, distantSender, testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if reply, err := c.Ask("XCLIENT ADDR=192.0.2.7\r\n"); err != nil || reply.Code != 500 {
		t.Errorf("XCLIENT to nginx: %s, %v", reply, err)
	}
	for _, line := range []string{"MAIL FROM:<a@sender.test>\r\n", "RCPT TO:<b@elsewhere.example>\r\n"} {
		if reply, err := c.Ask(line); err != nil {
			t.Errorf("%q: %s, %v", line, reply, err)
		}
	}
	p.await(0, `msg="command refused"`, "sender="+distantSender+":", "b@elsewhere.example")
	c.Close()

	p.terminate()
	out, status := runPostern(t, "senders", "--json", "--data", p.data)
	if status != 0 || strings.Contains(out, "127.0.") {
		t.Errorf("the senders, whose handshakes were not seen, %d: %s", status, out)
	}
}

// A Postern in front of another one says XCLIENT after STARTTLS, and so does swaks, which can say it
// before. The handshake is the front-end's.
func TestTheHandshakeWithAFrontEndIsItsOwn(t *testing.T) {
	p, fronted := startBehindFrontEnd(t)
	outer := start(t, "--next-hop", "smtp://"+fronted+"?xclient=on")
	deliverThrough(t, outer, outer.addr, distantSender)
	p.await(0, "msg=session", "sender="+distantSender+":", "messages=1", "tls=")
	if d := testpeer.SendSwaks(t, fronted, testpeer.SwaksOptions{Args: []string{"--xclient-addr", "127.0.6.7", "--xclient-helo", "sender.test"}}); !d.Delivered {
		t.Errorf("swaks: %s", d.Output)
	}
	p.await(0, "msg=session", "sender=127.0.6.7:", "messages=1")
	p.terminate()
	out, status := runPostern(t, "senders", "--json", "--data", p.data)
	if status != 0 || !strings.Contains(out, `"127.0.0.0/24"`) || strings.Contains(out, `"127.0.5.0/24"`) || strings.Contains(out, `"127.0.6.0/24"`) {
		t.Errorf("the senders, %d: %s", status, out)
	}
}

// A sender that names another one itself is not believed: not at the port for front-ends, which is
// closed to it, and not at the other one. A front-end that names none delivers nothing.
func TestForgedXCLIENTIsNotBelieved(t *testing.T) {
	p, fronted := startBehindFrontEnd(t)
	const forged, refused = "XCLIENT ADDR=192.0.2.7\r\n", "421 4.3.2 connections to this port come through a load balancer"
	for _, test := range []struct{ addr, from, say, reply, log string }{
		{fronted, distantSender, forged, refused, `err="not from a trusted network"`},
		{fronted, "127.0.0.1", "EHLO a\r\nMAIL FROM:<>\r\n", refused, `err="MAIL before XCLIENT"`},
		{p.addr, distantSender, forged, "550 5.7.0 ", "end=quit"},
		{p.addr, "127.0.0.1", forged, "550 5.7.0 ", "end=quit"},
	} {
		from := p.log.length()
		c, err := testsmtp.Connect(test.addr, test.from)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Send(test.say)
		var last smtp.Reply
		for !strings.HasPrefix(last.String(), test.reply) && err == nil { // the greeting and others before
			last, err = c.Reply()
		}
		if err != nil {
			t.Errorf("%q from %s: %s, %v, want %s", test.say, test.from, last, err, test.reply)
		}
		if test.reply == refused {
			c.Close() // Postern waits for that
		} else {
			c.Send("QUIT\r\n")
		}
		p.await(from, "msg=session", "sender="+test.from+":", test.log)
	}
	if n := p.log.count("sender=192.0.2.7"); n > 0 {
		t.Errorf("%d lines have the forged address", n)
	}
}

// A sender that writes a header itself is not believed: not at the port for balancers, which is
// closed to it, and not at the other one. At the port for balancers, one from their network that
// writes none gets nothing.
func TestForgedHeadersAreNotBelieved(t *testing.T) {
	p, proxied := startBehindBalancer(t)
	const forged = "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n"
	const refused = "421 4.3.2 connections to this port come through a load balancer"
	for _, test := range []struct{ addr, from, say, reply, log string }{
		{proxied, distantSender, forged, refused, `err="not from a trusted network"`},
		{proxied, distantSender, "", refused, `err="not from a trusted network"`},
		{proxied, "127.0.0.1", "EHLO sender.test\r\n", refused, `err="no PROXY protocol header"`},
		{p.addr, distantSender, forged, "500 5.5.1 ", "end=quit"},
		{p.addr, "127.0.0.1", forged, "500 5.5.1 ", "end=quit"},
	} {
		from := p.log.length()
		c, err := testsmtp.Connect(test.addr, test.from)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if test.addr == p.addr {
			if err := c.Expect("", 220); err != nil {
				t.Fatal(err)
			}
		}
		reply, err := c.Ask(test.say)
		if err != nil || !strings.HasPrefix(reply.String(), test.reply) {
			t.Errorf("%q from %s: %s, %v, want %s", test.say, test.from, reply, err, test.reply)
		}
		c.Send("QUIT\r\n")
		p.await(from, "msg=session", "sender="+test.from+":", test.log)
	}
	if n := p.log.count("sender=192.0.2.7"); n > 0 {
		t.Errorf("%d lines have the forged address", n)
	}
}
