package keylog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
)

// maxLine bounds a line in bytes: the longest of those that are used has a label
// of 31, a random of 64, a secret of 96 and two spaces. The rest is room for the
// labels of others.
const maxLine = 512

// A lineReader cuts a stream into lines, which end with LF, CR or CRLF (RFC 9850, Section 2).
type lineReader struct {
	number  int // of the line given last
	partial []byte
	afterCR bool
}

// read gives each line that p ends to add, without its end and good until add
// returns. Of a line that is too long it gives the first maxLine+1 bytes.
func (r *lineReader) read(p []byte, add func(line []byte)) {
	for len(p) > 0 {
		if r.afterCR && p[0] == '\n' {
			p = p[1:]
		}
		r.afterCR = false
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			r.keep(p)
			return
		}
		r.keep(p[:end])
		r.number++
		add(r.partial)
		r.partial = r.partial[:0]
		r.afterCR = p[end] == '\r'
		p = p[end+1:]
	}
}

func (r *lineReader) keep(p []byte) {
	r.partial = append(r.partial, p[:min(len(p), maxLine+1-len(r.partial))]...)
}

// An entry is what a line says.
type entry struct {
	label  label // labels: none that opens records
	random random
	secret []byte
}

var (
	errFields = errors.New("not a label, a client random and a secret with one space between them")
	errLong   = fmt.Errorf("longer than %d bytes", maxLine)
	errRandom = errors.New("the client random is not 64 hexadecimal digits")
	errSecret = errors.New("the secret is not 64 or 96 hexadecimal digits")
)

// parseLine reads a line of RFC 9850, Section 2. Empty lines, comments and labels
// that open no records give an entry of the label labels.
func parseLine(line []byte) (entry, error) {
	none := entry{label: labels}
	if len(line) == 0 || line[0] == '#' {
		return none, nil
	}
	fields := bytes.Split(line, []byte(" "))
	e := entry{label: labelOf(fields[0])}
	switch {
	case len(fields) != 3:
		return none, errFields
	case e.label == labels:
		return none, nil
	case len(line) > maxLine:
		return none, errLong
	case len(fields[1]) != hex.EncodedLen(len(e.random)):
		return none, errRandom
	}
	if _, err := hex.Decode(e.random[:], fields[1]); err != nil {
		return none, errRandom
	}
	e.secret = make([]byte, hex.DecodedLen(len(fields[2])))
	if _, err := hex.Decode(e.secret, fields[2]); err != nil || !fitsHash(len(e.secret)) {
		return none, errSecret
	}
	return e, nil
}

// fitsHash reports whether a secret of n bytes can belong to a suite of TLS 1.3:
// it is as long as the output of SHA-256 or SHA-384 (RFC 8446, Section 7.1).
func fitsHash(n int) bool { return n == 32 || n == 48 }

// A label says what a secret is for (RFC 9850, Section 2.1).
type label uint8

// The labels whose secrets open records.
const (
	clientHandshake label = iota
	clientApplication
	serverHandshake
	serverApplication
	labels // how many there are
)

var labelNames = [labels]string{
	clientHandshake:   "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	clientApplication: "CLIENT_TRAFFIC_SECRET_0",
	serverHandshake:   "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	serverApplication: "SERVER_TRAFFIC_SECRET_0",
}

// labelOf returns the label called name, or labels if it is none of these.
func labelOf(name []byte) label {
	for l, known := range labelNames {
		if known == string(name) {
			return label(l)
		}
	}
	return labels
}
