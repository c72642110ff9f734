package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A Webhook tells by HTTP POST, with the message as JSON. The URL is the operator's: it is not
// checked where it leads, and a redirect is refused, so that nothing is sent elsewhere.
type Webhook struct {
	URL    string
	Secret []byte       // of the signature; empty: none
	Client *http.Client // nil means one of its own
}

// webhookTime is how long the receiver may take.
const webhookTime = 10 * time.Second

// The header fields of a signed request. The signature is "sha256=" and the HMAC (RFC 2104) in
// hexadecimal digits, keyed with the secret, of the time, a dot and the body. The time is in
// seconds since 1970: a receiver refuses an old one, so that a request cannot be repeated later.
const (
	timeField      = "Postern-Time"
	signatureField = "Postern-Signature"
)

// Name returns "webhook".
func (*Webhook) Name() string { return "webhook" }

// Tell posts the message. It is an error if the answer's status is not 2xx.
func (w *Webhook) Tell(ctx context.Context, message Message) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTime)
	defer cancel()
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Postern")
	at := strconv.FormatInt(message.Time.Unix(), 10)
	request.Header.Set(timeField, at)
	if len(w.Secret) > 0 {
		request.Header.Set(signatureField, "sha256="+w.sign(at, body))
	}
	client := w.Client
	if client == nil {
		client = &http.Client{}
	}
	noRedirect := *client
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := noRedirect.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.CopyN(io.Discard, response.Body, 4<<10) // lets the connection be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", w.URL, response.Status)
	}
	return nil
}

func (w *Webhook) sign(at string, body []byte) string {
	h := hmac.New(sha256.New, w.Secret)
	io.WriteString(h, at+".")
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
