package sink

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Webhook posts batches to a URL, signed.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
}

// NewWebhook posts to a URL and signs with a secret.
func NewWebhook(url string, secret []byte) *Webhook {
	return &Webhook{url: url, secret: secret, client: &http.Client{
		Timeout:   sendTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment},
		// Whoever answers with a redirect is not who was configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Headers of a delivery.
const (
	// SignatureHeader is "t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">".
	SignatureHeader = "Agentsvc-Signature"
	// DeliveryHeader is the same whenever the same is sent again.
	DeliveryHeader = "Agentsvc-Delivery"
)

// Send posts the events, then each checkpoint.
func (w *Webhook) Send(ctx context.Context, batch Batch) error {
	t := strconv.FormatInt(batch.Now.Unix(), 10)
	if len(batch.Lines) > 0 {
		body := []byte(`{"type":"audit.events","events":[`)
		body = append(append(body, bytes.Join(batch.Lines, []byte(","))...), "]}"...)
		if err := w.post(ctx, t, fmt.Sprintf("events-%d-%d", batch.First, batch.Last), body); err != nil {
			return err
		}
	}
	for _, note := range batch.Checkpoints {
		body, err := json.Marshal(map[string]string{"type": "audit.checkpoint", "note": note})
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(note))
		if err := w.post(ctx, t, "checkpoint-"+hex.EncodeToString(sum[:8]), body); err != nil {
			return err
		}
	}
	return nil
}

func (w *Webhook) post(ctx context.Context, t, delivery string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's URL is not one")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(DeliveryHeader, delivery)
	req.Header.Set(SignatureHeader, "t="+t+",v1="+Signature(w.secret, t, body))
	resp, err := w.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // the URL may hold a secret
		}
		return fmt.Errorf("calling the webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4096) // so that the connection is used again; more than that is not worth it
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the webhook answered %d", resp.StatusCode)
	}
	return nil
}

// Signature is what a receiver compares v1 of the header with, in constant time; t is the
// header's, and tells how old the delivery is.
func Signature(secret []byte, t string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t))
	mac.Write([]byte("."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
