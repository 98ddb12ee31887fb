package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenFile is a token that may be replaced while we run. While the file cannot be
// read, the token read before stays in force.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	current  string
	modified time.Time
	failing  bool // the log has it
}

func (f *tokenFile) token() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	token, err := f.read() // an error leaves the token of before
	if err != nil && !f.failing {
		f.log.Warn("the vendor's token is kept as it was", slog.Any("error", err))
	}
	f.failing = err != nil
	return token
}

// read reads the file if it was replaced. It is for whoever holds the lock.
func (f *tokenFile) read() (string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return f.current, fmt.Errorf("looking at the token file: %w", err)
	}
	if f.current != "" && info.ModTime().Equal(f.modified) {
		return f.current, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return f.current, fmt.Errorf("reading the token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return f.current, errors.New("the token file is empty")
	}
	f.current, f.modified = token, info.ModTime()
	return token, nil
}
