package persona

import (
	"errors"
	"net"

	"postern/internal/tlsrecord"
)

// A segmentConn returns from each Read the bytes of one write of the server, as a client
// reads them that is as quick as the network. With a [net.Conn] alone that is a matter of
// luck: TCP gives a slow client two segments in one read.
//
// Linux counts the segments that carried data (tcpi_data_segs_in of TCP_INFO) and the bytes
// in them (tcpi_bytes_received). The conn reads all that the kernel has received, and asks
// several whether it came in several writes; then it returns it record by record. A segment
// that TCP sent twice counts twice. Where a router on the way allows only smaller segments
// than the client's own network, one write needs more of them than the conn expects.
//
// If several is nil, elsewhere, and on a conn that is not TCP, what the conn has read at once
// counts as one write.
type segmentConn struct {
	net.Conn
	several func(segments, needed, records int) bool

	before  received // what the kernel had received when the conn was made
	read    received // what the conn has read since
	pending []byte   // read and not yet returned
	record  int      // bytes left of the record that is returned by itself; 0: pending was one write
	split   bool     // pending is returned record by record
	write   int      // number of the write that the last Read returned bytes of
}

// received counts what a socket received.
type received struct {
	bytes, segments int
	mss             int // the longest segment that the peer may send
}

// oneMore says that bytes came in several writes if there are more segments than one write
// of that length needs.
func oneMore(segments, needed, _ int) bool { return segments > needed }

// oneForEach says so if also each record can have had a segment.
func oneForEach(segments, needed, records int) bool { return segments > needed && segments >= records }

func newSegmentConn(c net.Conn, several func(segments, needed, records int) bool) *segmentConn {
	before, _ := receivedBy(c)
	return &segmentConn{Conn: c, several: several, before: before}
}

// Read returns bytes of one write.
func (c *segmentConn) Read(b []byte) (int, error) {
	if len(c.pending) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
		c.record = 0
		c.write++
	}
	from := c.pending
	if c.split {
		if c.record == 0 {
			c.record = firstRecord(from)
			c.write++
		}
		from = from[:c.record]
	}
	n := copy(b, from)
	c.pending = c.pending[n:]
	c.record -= n
	return n, nil
}

// fill reads what the server has sent, at least a byte.
func (c *segmentConn) fill() error {
	buffer := make([]byte, 64<<10)
	was := c.read
	for {
		n, err := c.Conn.Read(buffer)
		if n == 0 && len(c.pending) == 0 {
			return err
		}
		c.pending = append(c.pending, buffer[:n]...)
		c.read.bytes += n
		now, ok := receivedBy(c.Conn)
		if !ok {
			c.split = false
			return nil
		}
		// The kernel counts a segment before it queues the bytes. Those that were counted
		// but not queued the first time are queued the second time.
		if again, _ := receivedBy(c.Conn); n > 0 && c.before.bytes+c.read.bytes < again.bytes {
			continue
		}
		// A FIN counts as a byte and not as a segment with data.
		c.read.segments = now.segments - c.before.segments
		segments, length := c.read.segments-was.segments, c.read.bytes-was.bytes
		c.split = c.several != nil && c.several(segments, (length+now.mss-1)/now.mss, records(c.pending))
		return nil // after an error the next Read returns it
	}
}

// firstRecord returns the length of the record that b begins with; that of b if none does,
// or if it is incomplete.
func firstRecord(b []byte) int {
	if !tlsrecord.Begins(b) {
		return len(b)
	}
	return min(tlsrecord.HeaderLen+tlsrecord.Length(b), len(b))
}

// records counts the records of b.
func records(b []byte) (n int) {
	for ; len(b) > 0; n++ {
		b = b[firstRecord(b):]
	}
	return n
}

// underlying returns the TCP conn below c; nil if there is none.
func underlying(c net.Conn) *net.TCPConn {
	for {
		switch below := c.(type) {
		case *net.TCPConn:
			return below
		case interface{ NetConn() net.Conn }:
			c = below.NetConn()
		default:
			return nil
		}
	}
}

var errTicketWithData = errors.New("the server sent a session ticket and application data in one segment")

// A ticketDataReader is the client's side of a connection over TLS. It closes it silently
// if data came in one write with a session ticket before it.
type ticketDataReader struct {
	client
	conversation *conversation
}

func (r *ticketDataReader) Read(b []byte) (int, error) {
	n, err := r.client.Read(b)
	c := r.conversation
	if n > 0 && c.ticketWrite > 0 && c.ticketWrite == c.segments.write {
		c.close(errTicketWithData)
		return 0, errTicketWithData
	}
	return n, err
}
