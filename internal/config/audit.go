package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Audit is how the history is sealed and whom it is told to. Its zero value seals it, signs
// nothing and tells nobody.
type Audit struct {
	// KeyFile (AGENTSVC_AUDIT_KEY_FILE) holds the private key that signs checkpoints: see
	// "agentsvc audit keygen". Without it nothing is signed.
	KeyFile string
	// CheckpointEvery (AGENTSVC_AUDIT_CHECKPOINT_EVERY) is the least time between two.
	CheckpointEvery time.Duration
	// CheckpointFile (AGENTSVC_AUDIT_CHECKPOINT_FILE) is where checkpoints are appended, with the
	// leaf hashes they cover in the file beside it.
	CheckpointFile string
	// WebhookURL (AGENTSVC_AUDIT_WEBHOOK_URL) is posted the history, signed with the secret of
	// WebhookSecretFile (AGENTSVC_AUDIT_WEBHOOK_SECRET_FILE).
	WebhookURL, WebhookSecretFile string
	// Stdout (AGENTSVC_AUDIT_STDOUT) writes the history to standard output, as JSON lines.
	Stdout bool
}

// minSecret is the least length of a webhook's secret.
const minSecret = 16

func (a Audit) problems() []error {
	var problems []error
	if a.CheckpointEvery < time.Second {
		problems = append(problems, errors.New("AGENTSVC_AUDIT_CHECKPOINT_EVERY must be at least 1s"))
	}
	if a.CheckpointFile != "" && a.KeyFile == "" {
		problems = append(problems, errors.New("AGENTSVC_AUDIT_CHECKPOINT_FILE is set and AGENTSVC_AUDIT_KEY_FILE is not: no checkpoint would be signed"))
	}
	if (a.WebhookURL == "") != (a.WebhookSecretFile == "") {
		problems = append(problems, errors.New("AGENTSVC_AUDIT_WEBHOOK_URL and AGENTSVC_AUDIT_WEBHOOK_SECRET_FILE go together"))
	}
	if a.WebhookURL != "" {
		// The URL may hold a secret, so it is not shown.
		if u, err := url.Parse(a.WebhookURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			problems = append(problems, errors.New("AGENTSVC_AUDIT_WEBHOOK_URL is not a URL of http or https"))
		}
	}
	return problems
}

// WebhookSecret reads the webhook's secret.
func (a Audit) WebhookSecret() ([]byte, error) {
	text, err := os.ReadFile(a.WebhookSecretFile)
	if err != nil {
		return nil, fmt.Errorf("reading the webhook's secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%s: the webhook's secret must have at least %d characters", a.WebhookSecretFile, minSecret)
	}
	return []byte(secret), nil
}
