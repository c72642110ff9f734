package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
)

// discard accepts every message.
type discard struct{}

func (discard) begin([]byte) ([]byte, error) {
	return []byte("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n"), nil
}

func (discard) text(_ []byte, last bool) ([]byte, error) {
	if !last {
		return nil, nil
	}
	return []byte("250 2.0.0 ok\r\n"), nil
}

func (discard) end() error { return nil }

// A relay passes messages to a backend, over one connection that opens with the first.
type relay struct {
	addr    string
	conn    net.Conn // nil: none yet
	in      *bufio.Reader
	replies []byte
}

func (r *relay) begin(envelope []byte) ([]byte, error) {
	if r.conn == nil {
		if err := r.connect(); err != nil {
			return nil, err
		}
	}
	if _, err := r.conn.Write(envelope); err != nil {
		return nil, err
	}
	return r.read(bytes.Count(envelope, []byte("\n")))
}

func (r *relay) text(part []byte, last bool) ([]byte, error) {
	if _, err := r.conn.Write(part); err != nil || !last {
		return nil, err
	}
	return r.read(1)
}

func (r *relay) end() error {
	if r.conn == nil {
		return nil
	}
	defer r.conn.Close()
	if _, err := r.conn.Write([]byte("QUIT\r\n")); err != nil {
		return err
	}
	_, err := r.read(1)
	return err
}

func (r *relay) connect() error {
	var err error
	if r.conn, err = net.Dial("tcp", r.addr); err != nil {
		return err
	}
	r.in = bufio.NewReaderSize(r.conn, 1<<10)
	if _, err := r.read(1); err != nil {
		return err
	}
	if _, err := r.conn.Write([]byte("EHLO floor.test\r\n")); err != nil {
		return err
	}
	_, err = r.read(1)
	return err
}

// read returns that many replies. They are valid until the next call.
func (r *relay) read(count int) ([]byte, error) {
	r.replies = r.replies[:0]
	for count > 0 {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) < 4 || line[0] > '3' {
			return nil, fmt.Errorf("unexpected reply %q", line)
		}
		r.replies = append(r.replies, line...)
		if line[3] == ' ' {
			count--
		}
	}
	return r.replies, nil
}
