package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// An alert right after the Finished messages: a goodbye or a complaint.
func TestAlertAfterTheHandshakeOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []piece
		end    End
		want   string
	}{
		{"goodbye of the client", []piece{client(sealed(2)), serve(sealed(2))}, End{Kind: EndClosed, By: Server},
			"handshake complete; most likely closed by the client (close_notify)"},
		{"and the server still sends a ticket", []piece{client(sealed(2)), serve(sealed(200))}, End{Kind: EndReset, By: Client},
			"handshake complete; most likely closed by the client (close_notify)"},
		{"and the recording stops", []piece{client(sealed(2))}, End{},
			"handshake complete; still open when the recording stopped"},
		{"complaint of the server", []piece{serve(sealed(2))}, End{Kind: EndClosed, By: Server},
			"handshake failed: ended by the server with an encrypted alert"},
		{"goodbye of the server after a ticket", []piece{serve(sealed(200)), serve(sealed(2))}, End{Kind: EndClosed, By: Server},
			"handshake complete; most likely closed by the server (close_notify)"},
		{"silence", nil, End{Kind: EndClosed, By: Client},
			"handshake complete, connection not used: closed silently by the client, after the client's Finished"},
	} {
		pieces := append([]piece{client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(36))}, c.pieces...)
		r := recorded(OnWire, pieces...)
		r.End(c.end)
		if got := r.Transcript().describeResult(); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

// The alert named is that of the side that ended the handshake, although the other side
// answers with one of its own.
func TestTheEndNamesTheAlertOfTheSideThatEndedIt(t *testing.T) {
	unknownCA := record(21, []byte{2, 48})
	r := recorded(AtServer, client(plainHello), full(aes128, 36), client(unknownCA), serve(sealed(2)))
	r.fail(&net.OpError{Op: "local error", Err: tls.AlertError(20)}, time.Time{}) // bad_record_mac
	r.End(End{Kind: EndDropped, By: Server})
	if got, want := r.Transcript().DescribeEnd(), "ended by the client with the alert unknown_ca"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	r = recorded(OnWire, client(plainHello), serve(record(21, []byte{2, 40})), client(record(21, []byte{1, 0})))
	r.End(End{Kind: EndClosed, By: Client})
	if got, want := r.Transcript().DescribeEnd(), "ended by the server with the alert handshake_failure"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// A library that gives up without an alert is why the connection ends.
func TestTheSideThatGaveUpEndedTheHandshake(t *testing.T) {
	r := recorded(AtServer, client([]byte("MAIL FROM:<ann@sender.example>\r\n")))
	r.fail(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, r.start)
	if got, want := r.Transcript().DescribeEnd(), "closed by the server without an alert, after bytes that are not TLS"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	r = recorded(AtServer, client(plainHello), serve(record(21, []byte{2, 70})))
	r.fail(errors.New("tls: client offered only unsupported versions"), r.start)
	if got, want := r.Transcript().DescribeEnd(), "ended by the server with the alert protocol_version"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// What was not captured is drawn as that, and a handshake that is only taken for complete
// is not drawn as more.
func TestTheDiagramSaysWhatWasNotCaptured(t *testing.T) {
	r := recorded(OnWire, client(plainHello))
	r.Gap(Server, 900, r.start)
	for _, p := range []piece{finish, client(sealed(30))} {
		r.Feed(p.from, p.b, r.start)
	}
	r.Gap(Server, 300, r.start)
	r.Feed(Client, sealed(300), r.start)
	r.SetOnlySide(Client)
	got := r.Transcript()
	drawn := got.Diagram(DiagramOptions{})
	if !got.Completed || !strings.Contains(drawn, "◀─────────────────────────────────────── not captured ──") || strings.Contains(drawn, "✓ handshake complete") {
		t.Errorf("completed %v\n%s", got.Completed, drawn)
	}

	r = recorded(OnWire, client(plainHello), full(aes128, 36), finish, client(sealed(30)), serve(sealed(300)))
	if drawn := r.Transcript().Diagram(DiagramOptions{}); !strings.Contains(drawn, "✓ handshake complete") || strings.Contains(drawn, "not captured") {
		t.Errorf("nothing is missing\n%s", drawn)
	}
}

// After the handshake the error of a Read says what the last alert was.
func TestReadErrorNamesAnEncryptedAlert(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"goodbye", io.EOF, "closed by the client (close_notify)"},
		{"complaint", &net.OpError{Op: "remote error", Err: tls.AlertError(46)}, "ended by the client with the alert certificate_unknown"},
	} {
		r := recorded(AtServer, client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(36)))
		r.complete()
		r.Feed(Client, sealed(2), r.start)
		r.fail(c.err, r.start)
		got := r.Transcript()
		if !got.Completed || got.DescribeEnd() != c.want || strings.Contains(got.End.Err, "EOF") {
			t.Errorf("%s: completed %v, %s, error %q; want %s", c.name, got.Completed, got.DescribeEnd(), got.End.Err, c.want)
		}
	}
}
