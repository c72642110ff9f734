package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/smtp"
)

func someMessage() Message {
	a := &ledger.Alert{
		ID: 7, Kind: string(SenderStopped), Subject: "sénder.example", Text: "sénder.example used to deliver and has not, in 4 tries.",
		Next: "See why.", Since: time.Date(2026, 11, 24, 9, 12, 0, 0, time.UTC),
		Said: map[string]ledger.Said{"mail": {Event: Began}},
	}
	return Message{Host: "mx.example.org", Time: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Events: []Event{newEvent(Began, a)}}
}

// The mail is stored like any other, no program answers it, and it says what to do.
func TestMailReachesTheMaildir(t *testing.T) {
	dir := t.TempDir()
	hop, err := maildir.New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	channel := &Mail{Hop: hop, Host: "mx.example.org", From: "postmaster@mx.example.org", To: []string{"postmaster@example.org", "ann@example.org"}}
	if err := channel.Tell(t.Context(), someMessage()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Return-Path": "<>", "Auto-Submitted": "auto-generated", "From": "Postern <postmaster@mx.example.org>",
		"To": "postmaster@example.org, ann@example.org", "Date": "Tue, 24 Nov 2026 10:00:00 +0000",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if id := got.Header.Get("Message-ID"); !strings.HasSuffix(id, "@mx.example.org>") {
		t.Errorf("Message-ID: %q", id)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != "[mx.example.org] sénder.example cannot deliver any more" {
		t.Errorf("Subject: %q, %v", subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
	if text := string(body); err != nil || !strings.Contains(text, "7: sénder.example cannot deliver any more") || !strings.Contains(text, "Next step: See why.") {
		t.Errorf("text, %v:\n%s", err, text)
	}
}

// A full mailbox, for example, is no delivery.
func TestMailIsNotSentIfTheNextHopRefuses(t *testing.T) {
	for _, at := range []string{"MAIL", "RCPT", "DATA", "text"} {
		channel := &Mail{Hop: refusing(at), Host: "mx.example.org", From: "postmaster@mx.example.org", To: []string{"postmaster@example.org"}}
		if err := channel.Tell(t.Context(), someMessage()); err == nil || !strings.Contains(err.Error(), "452 4.2.2 mailbox full") {
			t.Errorf("refused at %s: %v", at, err)
		}
	}
}

// refusing is a next hop that refuses one step.
type refusing string

func (refusing) Extensions() smtp.Extensions           { return smtp.Extensions{} }
func (r refusing) Open(nexthop.Sender) nexthop.Session { return r }
func (r refusing) reply(at string, ok int) nexthop.Answer {
	return func() smtp.Reply {
		if string(r) == at {
			return smtp.NewReply(452, "4.2.2", "mailbox full")
		}
		return smtp.NewReply(ok, "2.0.0", "ok")
	}
}
func (r refusing) Mail(smtp.Mail) nexthop.Answer      { return r.reply("MAIL", 250) }
func (r refusing) Rcpt(smtp.Recipient) nexthop.Answer { return r.reply("RCPT", 250) }
func (r refusing) Data() nexthop.Answer               { return r.reply("DATA", 354) }
func (r refusing) Send(text io.Reader) smtp.Reply {
	io.Copy(io.Discard, text)
	return r.reply("text", 250)()
}
func (refusing) Reset() {}
func (refusing) Close() {}

// A receiver can check that a request is Postern's, and recent.
func TestWebhookIsSigned(t *testing.T) {
	secret := []byte("0123456789abcdef")
	var got Message
	var signed bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(r.Header.Get("Postern-Time") + "." + string(body)))
		signed = r.Header.Get("Postern-Signature") == "sha256="+hex.EncodeToString(mac.Sum(nil)) && r.Header.Get("Postern-Time") == strconv.FormatInt(someMessage().Time.Unix(), 10)
		json.Unmarshal(body, &got)
		if strings.Contains(string(body), "said") {
			t.Error("the receiver is told what others were told")
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer receiver.Close()
	if err := (&Webhook{URL: receiver.URL, Secret: secret}).Tell(t.Context(), someMessage()); err != nil {
		t.Fatal(err)
	}
	if !signed {
		t.Error("the signature is wrong")
	}
	if len(got.Events) != 1 || got.Events[0].ID != 7 || got.Events[0].Event != Began || got.Events[0].Alert.Subject != "sénder.example" || got.Host != "mx.example.org" {
		t.Errorf("got %+v", got)
	}
}

// Nothing is sent to another place than the one that is configured.
func TestWebhookFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusInternalServerError} {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
		}))
		if err := (&Webhook{URL: receiver.URL}).Tell(t.Context(), someMessage()); err == nil || !strings.Contains(err.Error(), "answers") {
			t.Errorf("status %d: %v", status, err)
		}
		receiver.Close()
	}
}

func TestWebhookDoesNotWaitForever(t *testing.T) {
	stop := make(chan struct{})
	asked := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-stop
	}))
	defer receiver.Close()
	defer close(stop)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if err := (&Webhook{URL: receiver.URL}).Tell(ctx, someMessage()); err == nil {
		t.Error("no error")
	}
}

// shell returns the path of sh. Without one it skips the test, or fails it under CI=true.
func shell(t *testing.T) string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("needs sh")
	}
	if err != nil {
		t.Fatalf("needs sh: %v", err)
	}
	return sh
}

func TestCommandGetsTheMessage(t *testing.T) {
	sh := shell(t)
	file := filepath.Join(t.TempDir(), "told")
	if err := (&Command{Args: []string{sh, "-c", `cat > "$0"`, file}}).Tell(t.Context(), someMessage()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	var got Message
	if err != nil || json.Unmarshal(text, &got) != nil || len(got.Events) != 1 || got.Events[0].ID != 7 {
		t.Errorf("the command got %s, %v", text, err)
	}
	err = (&Command{Args: []string{sh, "-c", `echo "no route to pager" >&2; exit 3`}}).Tell(t.Context(), someMessage())
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no route to pager") {
		t.Errorf("a failing command: %v", err)
	}
}
