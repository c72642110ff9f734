package capture

import "postern/handshake"

// A listener lends keys to a recorder and tells it when the client sends MAIL in
// what they open. Nothing else of that is looked at, and nothing kept.
type listener struct {
	handshake.Keys
	recorder *handshake.Recorder
}

// Opener is [handshake.Keys].
func (l listener) Opener(s handshake.Session) handshake.Opener {
	if opener := l.Keys.Opener(s); opener != nil {
		return &listening{Opener: opener, recorder: l.recorder}
	}
	return nil
}

// A listening is that of one connection.
type listening struct {
	handshake.Opener
	recorder *handshake.Recorder
	client   lineCutter
	over     bool
}

// Open is [handshake.Opener].
func (l *listening) Open(from handshake.Side, epoch int, record []byte) ([]byte, byte, bool) {
	content, kind, ok := l.Opener.Open(from, epoch, record)
	const applicationData = 23 // RFC 8446, Section 5.1
	if ok && from == handshake.Client && kind == applicationData {
		l.hear(content)
	}
	return content, kind, ok
}

func (l *listening) hear(b []byte) {
	for !l.over {
		line, rest, whole := l.client.next(b)
		if !whole {
			return
		}
		if verb, _ := cutVerb(line); verb == "MAIL" {
			l.recorder.Used(handshake.Mailed)
			l.over = true
		}
		b = rest
	}
}
