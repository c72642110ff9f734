package capture

import (
	"bytes"
	"strconv"
)

// A messageText passes over the first message of a conversation, which is not read, and finds
// whether the server accepted it.
type messageText struct {
	chunk int64 // bytes of a chunk to come (RFC 3030, Section 2)
	data  dataState

	commands, replies int
	last              int  // number of the command BDAT with LAST; 0: none yet
	uncounted         bool // data is missing: a reply may belong to another command
}

// A dataState is how far DATA has come (RFC 5321, Section 4.1.1.4).
type dataState uint8

const (
	noData    dataState = iota
	dataAsked           // the client has sent DATA, and waits (RFC 2920, Section 3.1)
	dataBegun           // the server has accepted it
)

// skip returns what of the client's data is not text.
func (m *messageText) skip(data []byte) []byte {
	if m.data != noData {
		return nil
	}
	n := min(m.chunk, int64(len(data)))
	m.chunk -= n
	return data[n:]
}

// command notes a command. It returns false if the length of a chunk cannot be read.
func (m *messageText) command(verb string, rest []byte) bool {
	m.commands++
	switch verb {
	case "DATA":
		m.data = dataAsked
	case "BDAT":
		length, last, _ := bytes.Cut(rest, []byte(" "))
		n, err := strconv.ParseInt(string(length), 10, 64)
		if err != nil || n < 0 {
			return false
		}
		m.chunk = n
		if bytes.EqualFold(bytes.TrimSpace(last), []byte("LAST")) {
			m.last = m.commands
		}
	}
	return true
}

// reply notes the last line of a reply. Done reports that it is the reply to the message.
func (m *messageText) reply(line []byte) (accepted, done bool) {
	m.replies++
	switch {
	case m.data == dataAsked && line[0] == '3':
		m.data = dataBegun
	case m.data == dataBegun, m.last > 0 && m.replies == m.last && !m.uncounted:
		return line[0] == '2', true
	}
	return false, false
}
