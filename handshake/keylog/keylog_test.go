package keylog_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"postern/handshake/keylog"
)

func parse(t *testing.T, text string) *keylog.Log {
	t.Helper()
	keys, err := keylog.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if faults, more := keys.BadLines(); len(faults) > 0 {
		t.Fatalf("faults %v and %d more", faults, more)
	}
	return keys
}

var (
	someRandom = strings.Repeat("5a", 32)
	someSecret = strings.Repeat("c3", 32)
	someLine   = "SERVER_TRAFFIC_SECRET_0 " + someRandom + " " + someSecret
)

// RFC 9850, Section 2.
func TestGoodLinesAreRead(t *testing.T) {
	for name, text := range map[string]string{
		"LF":                   someLine + "\n" + someLine + "\n",
		"CRLF":                 someLine + "\r\n" + someLine + "\r\n",
		"CR":                   someLine + "\r" + someLine + "\r",
		"no end":               someLine,
		"comments, and none":   "# " + someLine + "x\n\n\n" + someLine,
		"capitals":             strings.ToUpper(someLine),
		"a longer secret":      someLine + strings.Repeat("c3", 16),
		"a label of TLS 1.2":   "CLIENT_RANDOM " + someRandom + " " + strings.Repeat("c3", 48) + "\n" + someLine,
		"a label not known":    "ECH_CONFIG " + someRandom + " " + strings.Repeat("ab", 1000) + "\n" + someLine,
		"early data's":         "CLIENT_EARLY_TRAFFIC_SECRET " + someRandom + " " + someSecret + "\n" + someLine,
		"a later one, dropped": someLine + "\n" + strings.ReplaceAll(someLine, "c3", "d4"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(parse(t, text)); got != "keylog of 1 connections" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestBadLinesAreNamedAndTheRestIsRead(t *testing.T) {
	for text, why := range map[string]string{
		"SERVER_TRAFFIC_SECRET_0 " + someRandom: "not a label, a client random and a secret with one space between them",
		someLine + " ":                          "not a label, a client random and a secret with one space between them",
		"hello":                                 "not a label, a client random and a secret with one space between them",
		"SERVER_TRAFFIC_SECRET_0 " + someRandom[1:] + " " + someSecret:            "the client random is not 64 hexadecimal digits",
		"SERVER_TRAFFIC_SECRET_0 " + "zz" + someRandom[2:] + " " + someSecret:     "the client random is not 64 hexadecimal digits",
		someLine[1:] + " " + someLine[:1]:                                         "not a label, a client random and a secret with one space between them",
		someLine + "0":                                                            "the secret is not 64 or 96 hexadecimal digits",
		someLine + "c3":                                                           "the secret is not 64 or 96 hexadecimal digits",
		strings.ReplaceAll(someLine, "c3", "cx"):                                  "the secret is not 64 or 96 hexadecimal digits",
		"CLIENT_RANDOM " + someRandom + " " + someSecret:                          "the master secret is not 96 hexadecimal digits",
		"SERVER_TRAFFIC_SECRET_0 " + someRandom + " " + strings.Repeat("c3", 500): "longer than 512 bytes",
	} {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			keys, err := keylog.Parse(strings.NewReader("#" + end + end + text + end + someLine))
			if err != nil {
				t.Fatal(err)
			}
			faults, more := keys.BadLines()
			if want := (keylog.BadLine{Line: 3, Reason: why}); len(faults) != 1 || faults[0] != want || more != 0 {
				t.Errorf("%q: faults %v and %d more, want %v", text, faults, more, want)
			}
			if got := fmt.Sprint(keys); got != "keylog of 1 connections" {
				t.Errorf("%q: got %q", text, got)
			}
		}
	}
}

func TestFaultsAndConnectionsAreBounded(t *testing.T) {
	keys := new(keylog.Log)
	for i := range 40_000 {
		fmt.Fprintf(keys, "SERVER_TRAFFIC_SECRET_0 %064x %s\n", i, someSecret)
	}
	faults, more := keys.BadLines()
	if len(faults) != 16 || more != 40_000-32_768-16 || faults[0].Line != 32_769 {
		t.Errorf("faults %v and %d more", faults, more)
	}
	if got := fmt.Sprint(keys); got != "keylog of 32768 connections" {
		t.Errorf("got %q", got)
	}
}

// The pieces may have any size.
func TestWriteTakesPieces(t *testing.T) {
	text := "# x\r\n\r\n" + someLine + "\r\nhello\n" + strings.ReplaceAll(someLine, "5a", "6b") + "\r"
	for size := 1; size <= len(text); size++ {
		keys := new(keylog.Log)
		for rest := text; rest != ""; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			if n, err := keys.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
		}
		if faults, _ := keys.BadLines(); len(faults) != 1 || faults[0].Line != 4 || fmt.Sprint(keys) != "keylog of 2 connections" {
			t.Errorf("in pieces of %d: %v, faults %v", size, keys, faults)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	keys := parse(t, someLine)
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("keys", "keys", keys)
	text := fmt.Sprintf("%v %+v %#v %s %x %d", keys, keys, keys, keys, keys, keys) + logged.String()
	for _, secret := range []string{"c3", "C3", "195", "5a"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q holds %q", text, secret)
		}
	}
}
