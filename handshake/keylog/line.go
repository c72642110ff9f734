package keylog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// maxLine bounds a line in bytes. The longest that is used has a label of 31, a random of
// 64, a secret of 96 and two spaces. The rest is for longer labels of others.
const maxLine = 512

// A lineReader cuts a stream into lines, which end with LF, CR or CRLF (RFC 9850, Section 2).
type lineReader struct {
	number  int // of the last line
	partial []byte
	afterCR bool
}

// read calls add with each line that p completes, without its end. The line is valid
// until add returns; of one that is too long it is the first maxLine+1 bytes.
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

// A label says what a secret is for (RFC 9850, Section 2.1).
type label uint8

// The labels whose secrets open records.
const (
	clientHandshake label = iota
	clientApplication
	serverHandshake
	serverApplication
	masterSecret
	labels // the number of labels, and any other label
)

var labelNames = []string{
	clientHandshake:   "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	clientApplication: "CLIENT_TRAFFIC_SECRET_0",
	serverHandshake:   "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	serverApplication: "SERVER_TRAFFIC_SECRET_0",
	masterSecret:      "CLIENT_RANDOM", // RFC 9850, Section 2.2: of TLS 1.2 and before
}

// labelOf returns the label with the given name, or labels if there is none.
func labelOf(name []byte) label {
	if i := slices.Index(labelNames, string(name)); i >= 0 {
		return label(i)
	}
	return labels
}

// An entry is the content of a line.
type entry struct {
	label  label // labels: not one that opens records
	random random
	secret []byte
}

var (
	errFields = errors.New("not a label, a client random and a secret with one space between them")
	errLong   = fmt.Errorf("longer than %d bytes", maxLine)
	errRandom = errors.New("the client random is not 64 hexadecimal digits")
	errSecret = errors.New("the secret is not 64 or 96 hexadecimal digits")
	errMaster = errors.New("the master secret is not 96 hexadecimal digits")
)

// parseLine reads a line (RFC 9850, Section 2). Empty lines, comments and labels that do
// not open records give an entry with the label labels.
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
	_, err := hex.Decode(e.secret, fields[2])
	switch {
	case e.label == masterSecret && (err != nil || len(e.secret) != masterSecretLen):
		return none, errMaster
	case err != nil || !isHashLen(len(e.secret)):
		return none, errSecret
	}
	return e, nil
}

// isHashLen reports whether a secret of n bytes may belong to a suite of TLS 1.3: it is as
// long as the output of SHA-256 or SHA-384 (RFC 8446, Section 7.1).
func isHashLen(n int) bool { return n == 32 || n == 48 }
