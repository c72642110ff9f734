package load

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// A Failure is a way to make a server's handshake fail.
type Failure int

// The failures.
const (
	RandomSuites      Failure = iota // a ClientHello of 7,900 bytes of suites that do not exist
	ClosedAfterFlight                // closed silently after the server's flight, which it signed
)

// String returns what the client does.
func (f Failure) String() string {
	if f == RandomSuites {
		return "7,900 bytes of random suites"
	}
	return "close after the server's flight"
}

// attackers is how many connections are open at once.
const attackers = 4

// Fail makes count handshakes fail, each from an address of its own in 127.0.0.0/8: the first
// connections of as many strangers.
func (f Failure) Fail(addr string, count int) error {
	errs := make(chan error, attackers)
	var all sync.WaitGroup
	for first := range attackers {
		all.Go(func() {
			for i := first; i < count; i += attackers {
				if err := f.fail(addr, stranger(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// stranger returns the i-th address; every 250 are of one network.
func stranger(i int) net.Addr {
	n := i / 250
	addr := netip.AddrFrom4([4]byte{127, 1 + byte(n>>8), byte(n), 1 + byte(i%250)})
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
}

func (f Failure) fail(addr string, from net.Addr) error {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: from}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := new(Conn)
	c.use(conn)
	if err := c.open(nil); err != nil {
		return err
	}
	if err := c.command("STARTTLS", 220); err != nil {
		return err
	}
	if f == RandomSuites {
		if err := c.write(randomHello()); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, conn) // to the alert and the close
		return err
	}
	// The client sees the end of the connection in place of the flight.
	_ = tls.Client(deaf{conn}, &tls.Config{ServerName: "mx.test", CurvePreferences: []tls.CurveID{tls.X25519}}).Handshake()
	return nil
}

// A deaf reads once and sees nothing of it.
type deaf struct{ net.Conn }

func (d deaf) Read(b []byte) (int, error) {
	if _, err := d.Conn.Read(make([]byte, 16<<10)); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// randomHello returns a record with a ClientHello of TLS 1.2 (RFC 5246, Section 7.4.1.2). Its
// suites are none that a server knows.
func randomHello() []byte {
	const suites = 7900
	body := make([]byte, 0, suites+64)
	body = append(body, 3, 3)
	for range 32 {
		body = append(body, byte(rand.Uint32()))
	}
	body = append(body, 0)
	body = binary.BigEndian.AppendUint16(body, suites)
	for range suites / 2 {
		body = append(body, 0xd0+byte(rand.UintN(16)), byte(rand.Uint32()))
	}
	body = append(body, 1, 0) // no compression
	record := []byte{22, 3, 1}
	record = binary.BigEndian.AppendUint16(record, uint16(4+len(body)))
	record = append(record, 1, 0)
	record = binary.BigEndian.AppendUint16(record, uint16(len(body)))
	return append(record, body...)
}
